import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { type Clock, sliced } from './clock.ts';
import {
  type BareProcess,
  COOKIE_VARIABLE,
  type ProcessEntry,
  type Processes,
  type ProcessTable,
  type SelfIdentity,
} from './os.ts';
import { parseLimits, parseProcStat, parsePss } from './parse.ts';

/**
 * How often the processes are listed: a listing misses who is forked during it, and the dying parent
 * of a daemon hands down nothing that would tell whose it is.
 */
const MAX_LISTINGS = 4;
/** How long a look waits for processes that are just becoming another program. */
const EXEC_MS = 100;
/** linux/sched.h */
const PF_KTHREAD = 0x00200000;
const COOKIE_PREFIX = Buffer.from(`${COOKIE_VARIABLE}=`);

// One buffer for every read: allocating per process would cost more than reading it.
let buffer = Buffer.allocUnsafeSlow(64 * 1024);

/** What `/proc` says of a process that is gone, or that is none of ours: normal, and no reason to stop. */
const NORMAL_ERRORS: ReadonlySet<unknown> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/**
 * Reads a whole file of `/proc` into the shared buffer; returns its length, or -1 for a process that
 * is gone or hidden. Throws what says nothing of the process, such as EMFILE: it is no proof of death.
 */
function readProc(path: string): number {
  let fd = -1;
  try {
    fd = openSync(path, 'r');
    let length = 0;
    for (;;) {
      length += readSync(fd, buffer, length, buffer.length - length, null);
      // The kernel hands out all it has (fs/proc/base.c, fs/seq_file.c): less than asked for is the end.
      if (length < buffer.length) return length;
      buffer = Buffer.concat([buffer], buffer.length * 2);
    }
  } catch (error) {
    if (NORMAL_ERRORS.has((error as NodeJS.ErrnoException).code)) return -1;
    throw error;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** Reads one process now; `undefined` when it is gone. */
export function readStat(pid: number | string): BareProcess | undefined {
  const length = readProc(`/proc/${pid}/stat`);
  const process = length < 0 ? undefined : parseProcStat(buffer.toString('latin1', 0, length));
  return process?.command === 'MainThread' ? { ...process, command: programOf(pid) } : process;
}

/** The program's file name, for programs that name their main thread instead of themselves (Node ≥ 24). */
function programOf(pid: number | string): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return 'MainThread';
  }
}

/**
 * The cookie in a process's environment; unreadable (another user's, gone) is normal and means none.
 * `null` for an environment that is empty.
 */
function readCookie(pid: number | string): string | null | undefined {
  const length = readProc(`/proc/${pid}/environ`);
  if (length === 0) return null;
  const environment = buffer.subarray(0, Math.max(0, length));
  let at = environment.indexOf(COOKIE_PREFIX);
  // Only a whole variable counts, not the tail of another one's name or value.
  while (at > 0 && environment[at - 1] !== 0) at = environment.indexOf(COOKIE_PREFIX, at + 1);
  if (at < 0) return undefined;
  const end = environment.indexOf(0, at);
  return environment.toString(
    'latin1',
    at + COOKIE_PREFIX.length,
    end < 0 ? environment.length : end,
  );
}

const NO_TAGS: readonly string[] = [];
const LENGTH_OF_TAG = 19;
const [ZERO, NINE] = [0x30, 0x39];

/** The hard limits of a process that have as many digits as a tag: nobody hides them (mode 0444). */
function readTags(pid: number | string): readonly string[] {
  const length = readProc(`/proc/${pid}/limits`);
  if (!holdsTag(length)) return NO_TAGS;
  const values = Object.values(parseLimits(buffer.toString('latin1', 0, length)));
  const tags = values.filter((value) => value.length === LENGTH_OF_TAG);
  return tags.length === 0 ? NO_TAGS : tags;
}

/** Whether the shared buffer holds a number as long as a tag: few processes have one, and a text of each would be garbage. */
function holdsTag(length: number): boolean {
  let digits = 0;
  for (let at = 0; at < length; at++) {
    const byte = buffer[at] ?? 0;
    const isDigit = byte >= ZERO && byte <= NINE;
    if (!isDigit && digits === LENGTH_OF_TAG) return true;
    digits = isDigit ? digits + 1 : 0;
  }
  return false;
}

/** Enters a process into the table; `false` for one whose environment is still to come. */
function enter(table: Map<number, ProcessEntry>, name: string, withTags: boolean): boolean {
  const bare = readStat(name);
  if (bare === undefined) {
    table.delete(Number(name));
    return true;
  }
  const cookie = bare.alive ? readCookie(name) : undefined;
  const tags = bare.alive && withTags ? readTags(name) : NO_TAGS;
  table.set(bare.pid, { ...bare, cookie: cookie ?? undefined, tags });
  return cookie !== null || !isInExec(name);
}

/**
 * Whether a process that showed no environment is just becoming another program: until execve(2) has
 * laid out its stack, /proc shows neither the old one nor the new, and so no cookie.
 */
function isInExec(pid: string): boolean {
  const length = readProc(`/proc/${pid}/stat`);
  const text = buffer.toString('latin1', 0, Math.max(0, length));
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // One whose threads have yet to follow it has no environment any more.
  if (fields[0] === 'Z') return false;
  // Fields 9, 50 and 51 of proc(5): flags (a kernel thread never has an environment), env_start, env_end.
  const [flags, start, end] = [fields[6], fields[47], fields[48]];
  return (Number(flags) & PF_KTHREAD) === 0 && (end === '0' || start !== end);
}

export function listPids(): string[] {
  return readdirSync('/proc').filter((name) => name >= '1' && name < ':');
}

/** The process table of Linux, from `/proc`, without a child process; what the tags cost is measured without them. */
export function linuxProcesses(clock: Clock, { withTags = true } = {}): Processes {
  return {
    async look(): Promise<ProcessTable> {
      const table = new Map<number, ProcessEntry>();
      const listed = new Set<string>();
      const rest = sliced(clock);
      let execByMs: number | undefined;
      let due = listPids();
      for (let pass = 1; due.length > 0; pass++) {
        const inExec: string[] = [];
        for (const name of due) {
          listed.add(name);
          if (!enter(table, name, withTags)) inExec.push(name);
          await rest();
        }
        due = pass < MAX_LISTINGS ? listPids().filter((name) => !listed.has(name)) : [];
        if (inExec.length === 0) continue;
        // Counted from the first pass: on a busy machine that alone may take as long.
        execByMs ??= clock.monotonicMs() + EXEC_MS;
        if (clock.monotonicMs() > execByMs) continue;
        // A timer, and no mere turn of the loop: they need the processor to get on.
        await new Promise<void>((resolve) => void clock.after(1, resolve, { keepAlive: true }));
        due.push(...inExec);
      }
      return table;
    },
    read: readStat,
  };
}

/** Each process's share of its memory, off the event loop: the kernel walks all of its pages for it. */
export async function linuxPss(pids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const { readFile } = await import('node:fs/promises');
  const shares = new Map<number, number>();
  await Promise.all(
    pids.map(async (pid) => {
      // Gone, another user's, or a kernel without it.
      const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
      const bytes = parsePss(text);
      if (bytes !== undefined) shares.set(pid, bytes);
    }),
  );
  return shares;
}

/**
 * Which boot this is; `''` where `/proc` shows processes alone (`subset=pid`, systemd's ProcSubset).
 *
 * Nothing else there tells boots apart: what a clock says of the boot moves with it. So an unknown boot
 * differs from none: to a host that knows its own, the owner is unproven; among hosts that do not know
 * it, PID namespace, pid and start time have to do.
 */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}

/** Who this host is: start time, boot and PID namespace, as the kernel tells them. */
export function linuxIdentity(): SelfIdentity {
  const pid = process.pid;
  return {
    machine: hostname(),
    pid,
    startTime: readStat(pid)?.startTime,
    bootId: readBootId(),
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
  };
}
