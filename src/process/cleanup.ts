import type { SupervisorEvents } from '../events.ts';
import type { ExitReport } from '../reports.ts';
import type { CheckedRequest } from './request.ts';

const LADDER = { stdinEofMs: 0, termMs: 1000, killMs: 1000 };
/** @internal A cleanup to run now. */
export interface CleanupCommand {
  readonly command: string;
  readonly args?: readonly string[] | undefined;
  readonly timeoutMs: number;
  /** Before sanitizing. Default: the host's own. */
  readonly env?: CheckedRequest['env'];
}

/** @internal A cleanup as a process: it takes no slot, and only its own time ends it. */
export function cleanupRequest({ command, args, env, timeoutMs }: CleanupCommand): CheckedRequest {
  return {
    ...{ command, args, env, kind: 'cleanup', slot: false, priority: 0, outlivesHost: false },
    ...{ stdin: 'ignore', stdout: 'ignore', ladder: LADDER, cleansUp: true },
    limits: { startupMs: null, idleMs: null, memoryBytes: null, lifetimeMs: timeoutMs },
  };
}

/** @internal The reason why a cleanup failed; `undefined` if it did not. */
export function failureOf(report: ExitReport): string | undefined {
  const { code, signal, cause, error, stderrTail } = report;
  if (code === 0) return undefined;
  if (error !== undefined) return error.message;
  const end = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const why = cause === 'lifetime' ? 'it took too long' : end;
  return stderrTail === '' ? why : `${why}: ${stderrTail.trim()}`;
}

/** @internal */
export function cleanupFailed(
  name: string,
  id: string,
  failure: string,
): SupervisorEvents['warning'] {
  const message = `The cleanup "${name}" of the process "${id}" failed: ${failure}. It is not tried again; run it by hand if it matters.`;
  return { code: 'CLEANUP', message, cause: undefined };
}
