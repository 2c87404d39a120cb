import { basename, join } from 'node:path';
import { hashName } from '../os/hash.ts';

/*
 * The names of all files and folders of a state directory, and of those beside a pid file. No other module
 * spells one. It loads nothing else: launchers look at a pid file at every keystroke.
 */

/** The parts of a file's name, for each kind of file. */
interface NameParts {
  journal: { owner: string };
  /** A dead host's journal, while another host acts for it. */
  claim: { owner: string; recoverer: string };
  /** The journal of one process that outlives its host. */
  kept: { owner: string; id: string };
  session: { hash: string };
  /** Spending of a day. */
  day: { day: string };
  history: { day: string };
  service: { hash: string };
  restarts: { hash: string };
  /** A lock, the note of a host that takes it over, or that of a host that waits for it. */
  conversation: { ending?: 'json' | 'takeover'; waiter?: string };
  /** An operator's request to one host. */
  order: { owner: string; id: string };
  clock: object;
  heartbeat: object;
  /** A host's share of the slots that the hosts of a machine share, in their folder. */
  share: { set: string; owner: string };
  lock: object;
  'pid-file': object;
  /** A file that was not complete when its writer died; `of` is the name that it was to have. */
  'half-written': { of: string };
}

export type FileKind = keyof NameParts;

/** A file's kind, and what its name tells. */
export type ParsedName<Kind extends FileKind = FileKind> = Kind extends FileKind
  ? { readonly kind: Kind; readonly name: string } & Readonly<NameParts[Kind]>
  : never;

const PATTERNS: Readonly<Record<FileKind, RegExp>> = {
  journal: /^host-(?<owner>[\w-]+)\.jsonl$/,
  claim: /^claim-(?<owner>[\w-]+)\+(?<recoverer>[\w-]+)\.jsonl$/,
  kept: /^kept-(?<owner>[\w-]+)\.(?<id>[\w-]+)\.jsonl$/,
  session: /^session-(?<hash>[\da-f]{32})\.jsonl$/,
  day: /^spend-(?<day>\d{4}-\d{2}-\d{2})\.jsonl$/,
  history: /^history-(?<day>\d{4}-\d{2}-\d{2})\.jsonl$/,
  service: /^service-(?<hash>[\da-f]{32})\.json$/,
  restarts: /^restarts-(?<hash>[\da-f]{32})\.jsonl$/,
  conversation:
    /^conversation-[\da-f]{32}\.(?:(?<ending>json|takeover)|(?<waiter>[\w-]+)\.waiting)$/,
  order: /^order-(?<owner>[\w-]+)\.(?<id>[\w-]+)\.json$/,
  clock: /^clock\.json$/,
  heartbeat: /^heartbeat-[\da-f]{12}\.(?:json|given-up)$/,
  share: /^(?<set>[\da-f]{32})-(?<owner>[\w-]+)\.json$/,
  lock: /\.(?:lock|taken)$/,
  'pid-file': /\.pid$/,
  'half-written': /^(?<of>.*)\.tmp$/,
};

/** Reads a file's name; `undefined` for a file of no such kind. Without `kinds`, of any. */
export function parseName<Kind extends FileKind = FileKind>(
  name: string,
  ...kinds: readonly Kind[]
): ParsedName<Kind> | undefined {
  const asked = kinds.length > 0 ? kinds : (Object.keys(PATTERNS) as Kind[]);
  for (const kind of asked) {
    const match = PATTERNS[kind].exec(name);
    if (match !== null) return { kind, name, ...match.groups } as unknown as ParsedName<Kind>;
  }
  return undefined;
}

export function journalPath(stateDir: string, owner: string): string {
  return join(stateDir, `host-${owner}.jsonl`);
}

/** The name of a dead host's journal while `recoverer` acts for it. */
export function claimPath(stateDir: string, owner: string, recoverer: string): string {
  return join(stateDir, `claim-${owner}+${recoverer}.jsonl`);
}

export function keptPath(stateDir: string, owner: string, id: string): string {
  return join(stateDir, `kept-${owner}.${id}.jsonl`);
}

export function orderPath(stateDir: string, owner: string, id: string): string {
  return join(stateDir, `order-${owner}.${id}.json`);
}

/** `hash` of the session's id: ids are the host's, and may be long or hold what no file name can. */
export function sessionPath(stateDir: string, hash: string): string {
  return join(stateDir, `session-${hash}.jsonl`);
}

/** The file of the UTC day of `ms`, as all hosts of a state directory count it wherever they are. */
export function dayPath(stateDir: string, kind: 'day' | 'history', ms: number): string {
  const day = new Date(ms).toISOString().slice(0, 10);
  return join(stateDir, `${kind === 'day' ? 'spend' : kind}-${day}.jsonl`);
}

export function servicePath(stateDir: string, name: string): string {
  return join(stateDir, `service-${hashName(name)}.json`);
}

export function restartsPath(stateDir: string, name: string): string {
  return join(stateDir, `restarts-${hashName(name)}.jsonl`);
}

/** A conversation may have any name; its lock has one of a fixed form. */
export function conversationLockPath(stateDir: string, conversation: string): string {
  return join(stateDir, `conversation-${hashName(conversation)}.json`);
}

/** The note of a host that ends another host's agent to run the conversation itself. */
export function takeoverNotePath(lockPath: string): string {
  return lockPath.replace(/\.json$/, '.takeover');
}

/** The note of a host that waits for a conversation, in the order of its arrival. */
export function conversationWaitPath(lockPath: string, owner: string): string {
  return lockPath.replace(/\.json$/, `.${owner}.waiting`);
}

/** The observed history of the machine's clock. */
export function clockPath(stateDir: string): string {
  return join(stateDir, 'clock.json');
}

export function heartbeatPath(folder: string, id: string): string {
  return join(folder, `heartbeat-${id}.json`);
}

export function heartbeatSocket(folder: string, id: string): string {
  return join(folder, `heartbeat-${id}.sock`);
}

/** The rest of a heartbeat that was given up: its owner, if it lives after all, sees it. */
export function givenUpPath(folder: string, id: string): string {
  return join(folder, `heartbeat-${id}.given-up`);
}

/** The folder of the slots that the hosts of a machine share. */
export function machineSlotsPath(stateDir: string): string {
  return join(stateDir, 'slots');
}

/** The hash in the names of a set's files. Each boot of a machine has its own sets, one for each kind. */
export function slotSetHash(
  { bootId, machine }: { readonly bootId: string; readonly machine: string },
  kind: string | undefined,
): string {
  const boot = bootId || machine;
  return hashName(kind === undefined ? boot : `${boot} ${kind}`);
}

/** A host's share of a set of slots. */
export function hostSharePath(stateDir: string, set: string, owner: string): string {
  return join(machineSlotsPath(stateDir), `${set}-${owner}.json`);
}

/** The parent of all working folders. */
export function workingFoldersPath(stateDir: string): string {
  return join(stateDir, 'cwd');
}

/** A session's working folder, by the hash of its id; without one, the folder that sessions share. */
export function workingFolderPath(stateDir: string, hash?: string): string {
  return join(workingFoldersPath(stateDir), hash === undefined ? 'shared' : `session-${hash}`);
}

/** The hash of the session that a working folder belongs to. */
export function sessionOfFolder(name: string): string | undefined {
  return /^session-([\da-f]{32})$/.exec(name)?.[1];
}

/** A new file's name until it is complete; `writer` where several may write at once. */
export function temporaryPath(path: string, writer?: string): string {
  return `${path}${writer === undefined ? '' : `.${writer}`}.tmp`;
}

/** A file's name while one writer looks at what it has moved away. */
export function asidePath(path: string, writer: string): string {
  return `${path}.${writer}.aside`;
}

/** Tells what a writer has left beside `path`: a file that it wrote, or one that it moved away. */
export function unfinishedKind(
  name: string,
  path: string,
  writer: string,
): 'temporary' | 'aside' | undefined {
  if (!name.startsWith(`${basename(path)}.${writer}.`)) return undefined;
  if (name.endsWith('.tmp')) return 'temporary';
  return name.endsWith('.aside') ? 'aside' : undefined;
}

/** The lock under which the daemon of a pid file is started. */
export function spawnLockPath(pidFile: string): string {
  return `${pidFile}.lock`;
}

/** The failed launches of the daemon of a pid file. */
export function launchesPath(pidFile: string): string {
  return `${pidFile}.launches`;
}

/** The right to remove a dead holder's lock, by that lock's nonce. */
export function takenPath(lockPath: string, nonce: string): string {
  return `${lockPath}.${nonce}.taken`;
}

/** The nonce in the name of such a right; `undefined` for any other file. */
export function nonceOfTaken(name: string, lockPath: string): string | undefined {
  const [prefix, suffix] = [`${basename(lockPath)}.`, '.taken'];
  if (!name.startsWith(prefix) || !name.endsWith(suffix)) return undefined;
  return name.slice(prefix.length, -suffix.length);
}

/** The place of a file that stood for a pid file and is none. */
export function corruptPath(pidFile: string): string {
  return `${pidFile}.corrupt`;
}

/** The earlier part of a log file that was begun anew. */
export function rotatedLogPath(logFile: string): string {
  return `${logFile}.1`;
}

/** The log file of a daemon that names none. */
export function logPath(pidFile: string): string {
  return `${pidFile.replace(/\.pid$/, '')}.log`;
}
