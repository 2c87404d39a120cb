import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { type Supervisor, SupervisorError } from '../index.ts';
import { sessionId } from '../process/request.ts';
import { makeWorkingFolder } from '../store/working-folders.ts';

export interface IsolatedCwdOptions {
  /** Gives this session a folder of its own, removed when the session is forgotten. */
  sessionId?: string | number | undefined;
}

const options = z.prefault(z.strictObject({ sessionId: z.optional(sessionId) }), {});

/**
 * Makes a private folder for background agents to work in, and returns its path: the same one each time.
 *
 * An agent lists its conversations by the folder it works in. In this one they stay out of the user's
 * own list, while settings and login, which are the user's, still hold.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, or `STATE_DIR_UNSAFE` if there is no safe place for it
 *
 * @example
 * ```ts
 * query({ prompt, options: { cwd: isolatedCwd(supervisor), spawnClaudeCodeProcess: supervisor.spawnHook() } });
 * ```
 */
export function isolatedCwd(supervisor: Supervisor, wish?: IsolatedCwdOptions): string {
  const { sessionId: session } = parseInput(options, wish, 'isolatedCwd');
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
