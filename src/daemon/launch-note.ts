import { COOKIE_VARIABLE, type Os } from '../os/os.ts';
import { marksInCookie } from '../tree/cookie.ts';

/**
 * The variable in which a launcher describes the launch to its daemon, as JSON. The note is valid only
 * together with the cookie of that launch.
 */
export const DAEMON_VARIABLE = 'AGENT_SUPERVISOR_DAEMON';

export interface LaunchNote {
  /**
   * The daemon's own cookie segment. Children of the daemon inherit the note, but it does not apply to
   * them.
   */
  readonly cookie: string;
  readonly pidFile: string;
  readonly name: string;
  readonly version?: string | undefined;
  readonly socket?: string | undefined;
  /** The daemon's log file, if its size is limited. */
  readonly log?: { readonly path: string; readonly maxBytes: number } | undefined;
}

/** Reads the note from this process's own launcher; `undefined` for a process that was started by hand. */
export function readLaunchNote(os: Os): LaunchNote | undefined {
  const { [DAEMON_VARIABLE]: text, [COOKIE_VARIABLE]: cookie } = os.environment();
  // A process that a supervisor below the daemon has started has further segments in its cookie.
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
