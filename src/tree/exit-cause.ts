import type { ExitCause } from '../reports.ts';

/** Facts about an exit besides code and signal. */
export interface ExitContext {
  /** The cause recorded before the supervisor sent a signal; it wins over code and signal. */
  readonly requested?: ExitCause | undefined;
  /** Code and signal are unknown, as for a process that another host started. */
  readonly unseen?: boolean | undefined;
  /** The kernel killed the process, or what its shell ran, for want of memory. */
  readonly oomKilled?: boolean | undefined;
}

export interface ExitVerdict {
  readonly cause: ExitCause;
  /** True if somebody asked for the exit; then the process is not restarted. */
  readonly intentional: boolean;
}

/** The signals by which a person or a service manager asks a program to end. */
const POLITE_SIGNALS: ReadonlySet<string> = new Set(['SIGTERM', 'SIGINT', 'SIGHUP']);
/**
 * The exit codes of programs that handle those signals, 128 + the signal's number (claude: 143).
 */
const POLITE_CODES: ReadonlySet<number> = new Set([129, 130, 143]);
/**
 * 128 + SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV: a shell reports its child's
 * crash.
 */
const CRASH_CODES: ReadonlySet<number> = new Set([132, 133, 134, 135, 136, 137, 139]);

/**
 * Tells whether the kernel may have killed a process for want of memory. That is a SIGKILL, as a
 * signal or as a shell reports it, or an end that nobody saw.
 */
export function mayBeOomKill(
  code: number | null,
  signal: string | null,
  { requested, unseen = false }: ExitContext,
): boolean {
  return requested === undefined && (unseen || signal === 'SIGKILL' || code === 137);
}

/** Derives the cause of an exit from code, signal and the request before it. */
export function classifyExit(
  code: number | null,
  signal: string | null,
  { requested, unseen = false, oomKilled = false }: ExitContext = {},
): ExitVerdict {
  if (requested !== undefined) return { cause: requested, intentional: true };
  if (oomKilled) return { cause: 'memory', intentional: false };
  if (unseen) return { cause: 'completed', intentional: false };
  if (signal !== null) {
    return POLITE_SIGNALS.has(signal)
      ? { cause: 'terminated', intentional: true }
      : { cause: 'crashed', intentional: false };
  }
  if (code === 0) return { cause: 'completed', intentional: false };
  if (code !== null && POLITE_CODES.has(code)) return { cause: 'terminated', intentional: true };
  return {
    cause: code === null || CRASH_CODES.has(code) ? 'crashed' : 'failed',
    intentional: false,
  };
}
