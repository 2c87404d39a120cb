import { COOKIE_VARIABLE, type Os } from '../os/os.ts';
import { marksInCookie } from '../tree/cookie.ts';

/** What a launcher tells its daemon, as JSON in this variable; it counts only beside the launch's own cookie. */
export const DAEMON_VARIABLE = 'AGENT_SUPERVISOR_DAEMON';

export interface LaunchNote {
  /** The daemon's segment: what the daemon itself starts inherits the note, and is not meant by it. */
  readonly cookie: string;
  readonly pidFile: string;
  readonly name: string;
  readonly version?: string | undefined;
  readonly socket?: string | undefined;
}

/** Reads what the launcher of this very process has told it; `undefined` for a process that was started by hand. */
export function readLaunchNote(os: Os): LaunchNote | undefined {
  const { [DAEMON_VARIABLE]: text, [COOKIE_VARIABLE]: cookie } = os.environment();
  // What a supervisor below the daemon has started carries more than the daemon's own mark.
  const [segment, ...later] = marksInCookie(cookie);
  if (segment === undefined || later.length > 0 || text === undefined) return undefined;
  try {
    const note = JSON.parse(text) as LaunchNote;
    const isWhole = note.cookie === segment && typeof note.pidFile === 'string';
    return isWhole ? note : undefined;
  } catch {
    return undefined;
  }
}
