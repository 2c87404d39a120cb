import { HEARTBEAT_ID } from '../tree/identity.ts';

/*
 * Read by hand: launchers look at a pid file at every keystroke, and to load zod for it would take them
 * ten times as long as all the rest.
 */

/** The number of the format of pid files and spawn locks; a reader acts on its own number only. */
export const PID_FILE_VERSION = 1;

/** Longest text of each field; whoever writes more wrote no pid file. */
const MAX_LENGTHS = {
  machine: 256,
  startTime: 32,
  bootId: 64,
  pidNamespace: 64,
  nonce: 64,
  socket: 4096,
  name: 256,
  daemonVersion: 256,
  cookie: 256,
} as const;
const MAX_PID = 2 ** 22;
/** What carries it is ended with the daemon: it must be a daemon's mark, and no other supervisor's. */
const DAEMON_MARK = /^[\w-]{1,64}\.daemon\.kept$/;

/** Which process on which machine has written a file, or is named by it. */
export interface RecordedIdentity {
  readonly machine: string;
  readonly pid: number;
  /** `undefined` until the system has told it. */
  readonly startTime?: string | undefined;
  readonly bootId: string;
  readonly pidNamespace: string;
  /** By whose end that of the process is proven from elsewhere: its own heartbeat beside the file, or that of its PID namespace's first process. */
  readonly heartbeat?: string | undefined;
}

/** What a pid file says: a bare number could be anybody's by now. */
export interface PidFile extends RecordedIdentity {
  readonly version: typeof PID_FILE_VERSION;
  /** The socket that the process listens on. */
  readonly socket?: string | undefined;
  /** What the daemon is called. */
  readonly name?: string | undefined;
  /** Which version of itself it is. */
  readonly daemonVersion?: string | undefined;
  /** The kept segment in the cookies of the daemon and of all it starts. */
  readonly cookie?: string | undefined;
  /** Not ready yet: where in its log file this start begins. */
  readonly starting?: number | undefined;
  /** Written by the process itself, and no more by its launcher. */
  readonly claimed?: true | undefined;
}

/** What a spawn lock says: who holds it, and which of all locks it is. */
export interface SpawnLockFile extends RecordedIdentity {
  readonly version: typeof PID_FILE_VERSION;
  readonly nonce: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a pid file's content; `undefined` for anything this format does not know. */
export function parsePidFile(value: unknown): PidFile | undefined {
  const fields = fieldsOf(value);
  const identity = fields && identityOf(fields);
  if (fields === undefined || identity === undefined) return undefined;
  const texts = ['socket', 'name', 'daemonVersion', 'cookie'] as const;
  if (!texts.every((name) => fields[name] === undefined || isText(fields, name))) return undefined;
  const { starting, claimed } = fields;
  if (claimed !== undefined && claimed !== true) return undefined;
  if (starting !== undefined && !(Number.isSafeInteger(starting) && Number(starting) >= 0))
    return undefined;
  const { socket, name, daemonVersion, cookie } = fields as Partial<PidFile>;
  if (cookie !== undefined && !DAEMON_MARK.test(cookie)) return undefined;
  return {
    version: PID_FILE_VERSION,
    ...identity,
    ...definedOnly({ socket, name, daemonVersion, cookie, claimed }),
    ...(starting === undefined ? {} : { starting: Number(starting) }),
  };
}

/** Reads a spawn lock's content; `undefined` for anything this format does not know. */
export function parseSpawnLock(value: unknown): SpawnLockFile | undefined {
  const fields = fieldsOf(value);
  const identity = fields && identityOf(fields);
  if (identity === undefined || !isText(fields, 'nonce', 1)) return undefined;
  return { version: PID_FILE_VERSION, ...identity, nonce: fields?.['nonce'] as string };
}

function fieldsOf(value: unknown): Fields | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const fields = value as Fields;
  return fields['version'] === PID_FILE_VERSION ? fields : undefined;
}

function identityOf(fields: Fields): RecordedIdentity | undefined {
  const { pid } = fields;
  if (!Number.isSafeInteger(pid) || Number(pid) < 1 || Number(pid) > MAX_PID) return undefined;
  const hasStart = fields['startTime'] !== undefined;
  if (hasStart && !isText(fields, 'startTime', 1)) return undefined;
  const rest = ['machine', 'bootId', 'pidNamespace'] as const;
  if (!rest.every((name) => isText(fields, name))) return undefined;
  const { machine, startTime, bootId, pidNamespace } = fields as unknown as RecordedIdentity;
  const { heartbeat } = fields;
  if (heartbeat !== undefined && !(typeof heartbeat === 'string' && HEARTBEAT_ID.test(heartbeat)))
    return undefined;
  const beating = definedOnly({ heartbeat });
  const identity = { machine, pid: Number(pid), bootId, pidNamespace, ...beating };
  return hasStart ? { ...identity, startTime } : identity;
}

function isText(
  fields: Fields | undefined,
  name: keyof typeof MAX_LENGTHS,
  minLength = 0,
): boolean {
  const text = fields?.[name];
  return typeof text === 'string' && text.length >= minLength && text.length <= MAX_LENGTHS[name];
}

function definedOnly<T extends object>(fields: T): Partial<T> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
