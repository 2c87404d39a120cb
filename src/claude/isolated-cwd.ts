import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { type Supervisor, SupervisorError } from '../index.ts';
import { sessionId } from '../process/request.ts';
import { makeWorkingFolder } from '../store/working-folders.ts';

export interface IsolatedCwdOptions {
  /** Makes a separate folder for this session, removed when the session is forgotten. */
  sessionId?: string | number | undefined;
}

const isolatedCwdOptions = z.prefault(z.strictObject({ sessionId: z.optional(sessionId) }), {});

/**
 * Makes a private working folder for background agents, and returns its path, the same each time.
 *
 * Claude Code lists conversations by working folder. In this folder they stay out of the user's own
 * list, while the user's settings and login still apply.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, or `STATE_DIR_UNSAFE` if there is no safe place for it
 *
 * @example
 * ```ts
 * query({ prompt, options: { cwd: isolatedCwd(supervisor), spawnClaudeCodeProcess: supervisor.spawnHook() } });
 * ```
 */
export function isolatedCwd(supervisor: Supervisor, options?: IsolatedCwdOptions): string {
  const { sessionId: session } = parseInput(isolatedCwdOptions, options, 'isolatedCwd');
  const { os, stateDir } = supervisor.internals;
  try {
    return makeWorkingFolder({ os, stateDir }, session);
  } catch (cause) {
    throw new SupervisorError(
      'STATE_DIR_UNSAFE',
      `isolatedCwd: there is no safe folder below stateDir "${stateDir}": ${(cause as Error).message}. Pass a folder of your own (mode 0700) as stateDir.`,
      { cause, data: { field: 'stateDir', value: stateDir } },
    );
  }
}
