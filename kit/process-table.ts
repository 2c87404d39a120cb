// The tests' own reader of the process table, on Linux only; it uses nothing of src/.
import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';

// Tests that read processes usually wait for them.
export { eventually, type Patience } from './eventually.ts';

/** A pid with the kernel's start time, which together identify a process. */
export interface ProcessKey {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTime: string;
}

export interface ProcessRow extends ProcessKey {
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  /** The kernel's state letter: R, S, D, T … */
  readonly state: string;
  /** The kernel's name for the program, at most 15 characters. */
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * Finds the live processes whose environment holds NAME=value: those started with it, and their
 * descendants.
 */
export function findByMarker(name: string, value: string): ProcessRow[] {
  const wanted = `${name}=${value}`;
  return livePids().flatMap((pid) => {
    const row = readRow(pid);
    return row !== undefined && environmentOf(row).includes(wanted) ? [row] : [];
  });
}

/** Finds the live processes with this exact argument, a mark that no change of environment removes. */
export function findByArgument(argument: string): ProcessRow[] {
  return livePids().flatMap((pid) => {
    const row = readRow(pid);
    return row?.args.includes(argument) ? [row] : [];
  });
}

/** Returns the lines of a process's initial environment. */
export function environmentOf({ pid, pgid }: ProcessRow): string[] {
  for (let attempt = 1; ; attempt++) {
    const text = readText(`/proc/${pid}/environ`);
    // During exec the environment is empty for a moment. Kernel threads, which have no group, never have
    // one.
    if (text !== '' || pgid === 0 || attempt === 1000) return text?.split('\0').slice(0, -1) ?? [];
  }
}

/** Reads the live process with this pid; `undefined` for no process or a zombie. */
export function readRow(pid: number): ProcessRow | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name may itself contain blanks and brackets, and ends at the last bracket.
  const nameEnd = stat.lastIndexOf(')');
  const fields = stat.slice(nameEnd + 2).split(' ');
  const [state = '', ppid, pgid, sid] = fields;
  if (state === '' || 'ZX'.includes(state)) return undefined;
  return {
    pid,
    ppid: Number(ppid),
    pgid: Number(pgid),
    sid: Number(sid),
    state,
    startTime: fields[19] ?? '',
    command: stat.slice(stat.indexOf('(') + 1, nameEnd),
    args: (readText(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1),
  };
}

export function isAlive({ pid, startTime }: ProcessKey): boolean {
  return readRow(pid)?.startTime === startTime;
}

/** Sends SIGKILL to these processes, each only while its pid still has its start time. */
export function endByIdentity(list: readonly ProcessKey[]): void {
  for (const key of list) {
    if (key.pid <= 1 || key.pid === process.pid || !isAlive(key)) continue;
    try {
      process.kill(key.pid, 'SIGKILL');
    } catch {
      // It exited in between.
    }
  }
}

/** Sends SIGKILL to all processes with the marker until none is left, and returns those found. */
export async function endByMarker(name: string, value: string): Promise<ProcessRow[]> {
  const found = new Map<string, ProcessRow>();
  await eventually(() => {
    const rows = findByMarker(name, value);
    for (const row of rows) found.set(`${row.pid} ${row.startTime}`, row);
    endByIdentity(rows);
    return rows.length === 0;
  });
  return [...found.values()];
}

function livePids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** `undefined` for a process that is gone or belongs to another user. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
