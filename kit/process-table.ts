// The tests' own look at the process table, from outside: Linux only, and nothing of src/ in it.
import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';

// Who looks at processes waits for them.
export { eventually, type Patience } from './eventually.ts';

/** A pid together with the kernel's start time: this process and no later one. */
export interface ProcessKey {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTime: string;
}

export interface ProcessRow extends ProcessKey {
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  /** The kernel's letter: R, S, D, T … */
  readonly state: string;
  /** The kernel's name for the program, at most 15 characters. */
  readonly command: string;
  readonly args: readonly string[];
}

/** All live processes whose environment holds NAME=value: what was started with it, and its heirs. */
export function findByMarker(name: string, value: string): ProcessRow[] {
  const wanted = `${name}=${value}`;
  return livePids().flatMap((pid) => {
    const row = readRow(pid);
    return row !== undefined && environmentOf(row).includes(wanted) ? [row] : [];
  });
}

/** All live processes with this very argument: the mark that a change of environment cannot remove. */
export function findByArgument(argument: string): ProcessRow[] {
  return livePids().flatMap((pid) => {
    const row = readRow(pid);
    return row?.args.includes(argument) ? [row] : [];
  });
}

/** The lines of the environment that a process was started with. */
export function environmentOf({ pid, pgid }: ProcessRow): string[] {
  for (let attempt = 1; ; attempt++) {
    const text = readText(`/proc/${pid}/environ`);
    // For a moment of its exec a process shows none; a thread of the kernel, without a group, never has one.
    if (text !== '' || pgid === 0 || attempt === 1000) return text?.split('\0').slice(0, -1) ?? [];
  }
}

/** The live process with this pid; `undefined` when there is none, or only a zombie. */
export function readRow(pid: number): ProcessRow | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name may itself hold blanks and brackets: it ends at the last one.
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

/** SIGKILLs exactly these processes, each one only while its pid still has its start time. */
export function endByIdentity(list: readonly ProcessKey[]): void {
  for (const key of list) {
    if (key.pid <= 1 || key.pid === process.pid || !isAlive(key)) continue;
    try {
      process.kill(key.pid, 'SIGKILL');
    } catch {
      // It ended in between.
    }
  }
}

/** SIGKILLs all that carries the marker, again and again until nothing does. Returns what it found. */
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

/** `undefined` for a process that is gone or another user's. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
