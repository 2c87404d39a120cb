import type { ExitCause } from '../reports.ts';

/** What else is known of an end besides code and signal. */
export interface ExitContext {
  /** The cause that was written before we signalled; it wins over what the exit itself says. */
  readonly requested?: ExitCause | undefined;
  /** Nobody was told how it ended, as with a process that others started. */
  readonly unseen?: boolean | undefined;
}

export interface ExitVerdict {
  readonly cause: ExitCause;
  /** Whether somebody asked for the end: it restarts nothing. */
  readonly intentional: boolean;
}

/** The signals by which a person or a service manager asks a program to end. */
const POLITE_SIGNALS: ReadonlySet<string> = new Set(['SIGTERM', 'SIGINT', 'SIGHUP']);
/** The same as exit codes, 128 + the signal's number: how programs that handle them exit (claude: 143). */
const POLITE_CODES: ReadonlySet<number> = new Set([129, 130, 143]);
/** 128 + SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV: a shell reporting its child's crash. */
const CRASH_CODES: ReadonlySet<number> = new Set([132, 133, 134, 135, 136, 137, 139]);

/** Tells why a process ended from how it ended and what was asked of it before. */
export function classifyExit(
  code: number | null,
  signal: string | null,
  { requested, unseen = false }: ExitContext = {},
): ExitVerdict {
  if (requested !== undefined) return { cause: requested, intentional: true };
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
