import {
  type BareProcess,
  COOKIE_VARIABLE,
  type ProcessEntry,
  type Rlimits,
  type TagLimit,
} from './os.ts';

// Group and session are -1 while a process is being reaped (do_task_stat).
const STAT_NUMBERS = /^\d{1,10} \d{1,10} -?\d{1,10} -?\d{1,10} \d{1,20}$/;

/**
 * Reads `/proc/PID/stat`; `undefined` for any other text.
 *
 * The name may contain spaces and parentheses, so the fields count from the last `)` (proc(5)). A
 * zombie is dead only when it is the last of its threads: until then the others hold its files and
 * sockets, and may even run.
 */
export function parseProcStat(text: string): BareProcess | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ', 20);
  const [state, ppid, pgid, sid] = fields;
  const startTime = fields[19] ?? '';
  const pid = text.slice(0, open);
  if (!STAT_NUMBERS.test(`${pid}${ppid} ${pgid} ${sid} ${startTime}`)) return undefined;
  return {
    pid: Number(pid),
    ppid: Number(ppid),
    pgid: Number(pgid),
    sid: Number(sid),
    alive: state !== 'X' && state !== 'x' && (state !== 'Z' || Number(fields[17]) > 1),
    startTime,
    command: text.slice(open + 1, close),
  };
}

/** The fields of `/proc/PID/stat` after the command, from the state on (field 3 of proc(5)). */
export function statFields(text: string, count?: number): string[] {
  return text.slice(text.lastIndexOf(')') + 2).split(' ', count);
}

/** Field 9 of proc(5), and linux/sched.h. */
const [FLAGS, PF_KTHREAD] = [6, 0x00200000];

/** True if this text of `/proc/PID/stat` is that of a kernel thread, which has no environment. */
export function isKernelThread(text: string): boolean {
  return (Number(statFields(text, FLAGS + 1)[FLAGS]) & PF_KTHREAD) !== 0;
}

/**
 * Reads the proportional set size from `/proc/PID/smaps_rollup`, in bytes; `undefined` if it is
 * missing.
 */
export function parsePss(text: string): number | undefined {
  const kibibytes = /^Pss: {1,20}(\d{1,15}) kB$/m.exec(text)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

const LIMIT_NAMES: ReadonlyMap<string, TagLimit> = new Map([
  ['file locks', 'locks'],
  ['resident set', 'rss'],
  ['realtime timeout', 'rttime'],
]);
/**
 * Name, soft limit and hard limit (fs/proc/base.c: each line begins with its name and is padded).
 */
const LIMIT_LINE =
  /^Max (file locks|resident set|realtime timeout) +(?:\d+|unlimited) +(\d+|unlimited) /gm;

/** Reads the hard limits that can be tags from `/proc/PID/limits`; leaves out missing ones. */
export function parseLimits(text: string): Rlimits {
  const limits: Partial<Record<TagLimit, string>> = {};
  for (const [, name = '', hard = ''] of text.matchAll(LIMIT_LINE)) {
    const limit = LIMIT_NAMES.get(name);
    if (limit !== undefined) limits[limit] = hard;
  }
  return limits;
}

const MONTHS = new Map(
  'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ').map((name, month) => [name, month]),
);

// The start time has 24 characters in a column of 28. Every repetition is bounded: a process
// chooses its own name and arguments, and must not be able to slow a snapshot down.
const PS_ROW =
  /^ {0,12}(\d{1,10}) {1,12}(\d{1,10}) {1,12}(\d{1,10}) {1,12}(\S{0,12}) {1,12}\w{3} (\w{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4}) {1,5}(.*)$/s;

/** MAXCOMLEN: the width of the column `ucomm`, in bytes. */
const NAME_BYTES = 16;

interface PsRow extends BareProcess {
  /** The arguments and, with `-E`, the environment, as printed. */
  readonly commandLine: string;
}

/**
 * Joins two listings of macOS's `ps`, the second with environments (`-E`), into one entry per
 * process.
 *
 * Both have the columns `pid=,ppid=,pgid=,stat=,lstart=,ucomm=,command=`, with `TZ=UTC` and
 * `LC_ALL=C`. They are decoded as Latin-1: a character must be a byte. The start time is in seconds
 * since 1970. Lines that are not rows are left out.
 *
 * The environment is the text that the second listing has more than the first. So a command line
 * that merely quotes a cookie proves nothing. Of several cookies the last one counts. A process
 * that changed its command line in between shows none.
 */
export function parsePs(plain: string, withEnvironment: string): ProcessEntry[] {
  const extended = new Map<string, string>();
  for (const { pid, startTime, commandLine } of psRows(withEnvironment)) {
    extended.set(`${pid} ${startTime}`, commandLine);
  }
  const entries = new Map<number, ProcessEntry>();
  for (const { commandLine, ...bare } of psRows(plain)) {
    const full = bare.alive ? extended.get(`${bare.pid} ${bare.startTime}`) : undefined;
    const environment = full?.startsWith(`${commandLine} `) ? full.slice(commandLine.length) : '';
    const entry = { ...bare, cookie: lastCookie(environment) };
    // Names are printed raw, so a name with a line break can forge a row: a pid with two rows
    // proves nothing.
    const unproven = { ppid: 0, pgid: 0, alive: true, startTime: '', cookie: undefined };
    entries.set(bare.pid, entries.has(bare.pid) ? { ...entry, ...unproven } : entry);
  }
  return [...entries.values()];
}

function* psRows(text: string): Generator<PsRow> {
  for (const line of text.split('\n')) {
    const [, pid, ppid, pgid, stat = '', month = '', day, hour, minute, second, year, rest = ''] =
      PS_ROW.exec(line) ?? [];
    const startMs = Date.UTC(
      Number(year),
      MONTHS.get(month) ?? Number.NaN,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
    // NaN: not a row. Negative: no process started before 1970.
    if (!(startMs >= 0)) continue;
    yield {
      pid: Number(pid),
      ppid: Number(ppid),
      pgid: Number(pgid),
      sid: 0,
      alive: !stat.startsWith('Z'),
      startTime: String(startMs / 1000),
      command: decodeUtf8(rest.slice(0, NAME_BYTES)).trimEnd(),
      commandLine: rest.slice(NAME_BYTES + 1),
    };
  }
}

const utf8 = new TextDecoder();

function decodeUtf8(latin1: string): string {
  if (!/[\x80-\xff]/.test(latin1)) return latin1;
  return utf8.decode(Uint8Array.from(latin1, (byte) => byte.charCodeAt(0)));
}

/** The last cookie in an environment that has a space before each variable. */
function lastCookie(environment: string): string | undefined {
  const [, ...values] = environment.split(` ${COOKIE_VARIABLE}=`);
  return /^\S+/.exec(values.at(-1) ?? '')?.[0];
}

const CIM_ROW = /^(\d{1,10}) (\d{1,10}) (\d{1,19}) (.*)$/s;

/**
 * Reads rows of `ProcessId ParentProcessId CreationDate Name` from Windows.
 *
 * The creation date is a FILETIME (units of 100 ns since 1601, UTC) and becomes the start time; `0`
 * means none. Other lines and the idle process 0 are left out.
 *
 * Windows keeps a dead parent's pid and reassigns it. So `ppid` is 0 if the process with that pid
 * was created after the child, and stays if there is no such process.
 */
export function parseCim(text: string): ProcessEntry[] {
  const entries = new Map<number, ProcessEntry>();
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const [, pid, ppid, startTime = '', command = ''] = CIM_ROW.exec(line) ?? [];
    if (pid === undefined || Number(pid) === 0) continue;
    const numbers = { pid: Number(pid), ppid: Number(ppid), pgid: 0, sid: 0 };
    entries.set(numbers.pid, { ...numbers, alive: true, startTime, command, cookie: undefined });
  }
  return [...entries.values()].map((child) => {
    const parent = entries.get(child.ppid);
    return parent === undefined || isParent(parent, child) ? child : { ...child, ppid: 0 };
  });
}

function isParent(parent: BareProcess, child: BareProcess): boolean {
  return parent.pid !== child.pid && parent.startTime !== '0' && !startedBefore(child, parent);
}

type Started = Pick<BareProcess, 'startTime'>;

/** True if `a` started before `b`: start times are compared by length, then as text. */
export function startedBefore({ startTime: a }: Started, { startTime: b }: Started): boolean {
  return a.length < b.length || (a.length === b.length && a < b);
}

/**
 * Reads macOS's `kern.bootsessionuuid` or `kern.boottime` (its seconds); `''` for any other text.
 */
export function parseBootId(text: string): string {
  const uuid = /^[\dA-F]{8}(?:-[\dA-F]{4}){3}-[\dA-F]{12}$/i.exec(text.trim());
  return uuid?.[0] ?? /^\{ sec = (\d{1,19}),/.exec(text)?.[1] ?? '';
}
