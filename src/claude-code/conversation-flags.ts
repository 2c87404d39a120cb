/** The conversation that an agent will run, as named by its request. */
export interface NamedConversation {
  /** The conversation's id; `undefined` until the agent's first message names it. */
  readonly key: string | undefined;
  /**
   * True for a new conversation with a given id, including a fork with one.
   *
   * The agent itself refuses an id that is in use (measured, SDK 0.3.330).
   */
  readonly isNew: boolean;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** The flag of either spelling, and its value if it is joined to it. */
const RESUME = /^(?:--resume(?:=(.*))?|-r(?:=?(.+))?)$/s;
const SESSION_ID = /^--session-id(?:=(.*))?$/s;

/** Reads the conversation out of the agent's arguments; `conversationId` is the caller's own word for it. */
export function conversationOf(
  args: readonly string[],
  conversationId?: string | undefined,
): NamedConversation {
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  const resumed = lastUuid(flags, RESUME);
  const chosen = lastUuid(flags, SESSION_ID);
  const forks = flags.includes('--fork-session');
  const key = conversationId?.toLowerCase() ?? (forks ? chosen : (resumed ?? chosen));
  // Both without a fork it takes from nobody.
  const isRefused = chosen !== undefined && resumed !== undefined && !forks;
  return { key, isNew: isRefused || (chosen !== undefined && chosen === key) };
}

/** Anything but a UUID is a title to search for, or the next flag. */
function lastUuid(flags: readonly string[], flag: RegExp): string | undefined {
  let found: string | undefined;
  for (const [index, arg] of flags.entries()) {
    const match = flag.exec(arg);
    const value = match && (match[1] ?? match[2] ?? flags[index + 1] ?? '');
    if (value && UUID.test(value)) found = value.toLowerCase();
  }
  return found;
}
