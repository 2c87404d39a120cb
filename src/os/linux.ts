import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { type Clock, sleep, sliced } from './clock.ts';
import {
  type BareProcess,
  COOKIE_VARIABLE,
  type ProcessEntry,
  type Processes,
  type ProcessTable,
  type SelfIdentity,
} from './os.ts';
import { isKernelThread, parseLimits, parseProcStat, parsePss, statFields } from './parse.ts';
import { readSmallFile } from './small-file.ts';

/**
 * Most listings per snapshot. A listing misses processes that are forked during it. The parent of a
 * daemon may be gone by then, and with it the proof whose the daemon is.
 */
const MAX_LISTINGS = 4;
/** Longest wait of a snapshot for processes that are in execve(2). */
const EXEC_MS = 100;
const COOKIE_PREFIX = Buffer.from(`${COOKIE_VARIABLE}=`);

// One buffer for all reads: an allocation per process would cost more than the read.
let buffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Errors of `/proc` for a process that has exited or belongs to another user: no reason to fail.
 */
const NORMAL_ERRORS: ReadonlySet<unknown> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/**
 * Reads a whole file of `/proc` into the shared buffer and returns its length. Returns -1 for a
 * process that has exited or is hidden. Throws errors that say nothing about the process, such as
 * EMFILE: they are no proof of death.
 */
function readProc(path: string): number {
  let fd = -1;
  try {
    fd = openSync(path, 'r');
    let length = 0;
    for (;;) {
      length += readSync(fd, buffer, length, buffer.length - length, null);
      // The kernel fills the buffer as far as it can (fs/proc/base.c, fs/seq_file.c): a short read
      // is the end.
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

/** Reads one process at this moment; `undefined` when it has exited. */
export function readStat(pid: number | string): BareProcess | undefined {
  return processIn(statText(pid), pid);
}

/** The text of `/proc/PID/stat`; `''` for a process that has exited. */
function statText(pid: number | string): string {
  return buffer.toString('latin1', 0, Math.max(0, readProc(`/proc/${pid}/stat`)));
}

function processIn(stat: string, pid: number | string): BareProcess | undefined {
  const process = parseProcStat(stat);
  return process?.command === 'MainThread' ? { ...process, command: programOf(pid) } : process;
}

/** The program's file name, since Node ≥ 24 names its main thread instead of the process. */
function programOf(pid: number | string): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return 'MainThread';
  }
}

/**
 * The cookie in a process's environment; `undefined` if there is none or it is not readable. `null`
 * for an empty environment.
 */
function readCookie(pid: number | string): string | null | undefined {
  const length = readProc(`/proc/${pid}/environ`);
  if (length === 0) return null;
  const environment = buffer.subarray(0, Math.max(0, length));
  let at = environment.indexOf(COOKIE_PREFIX);
  // Only a whole variable counts, not the end of another one's name or value.
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

/** The hard limits of a process that have as many digits as a tag; every user may read them. */
function readTags(pid: number | string): readonly string[] {
  const length = readProc(`/proc/${pid}/limits`);
  if (!holdsTag(length)) return NO_TAGS;
  const values = Object.values(parseLimits(buffer.toString('latin1', 0, length)));
  const tags = values.filter((value) => value.length === LENGTH_OF_TAG);
  return tags.length === 0 ? NO_TAGS : tags;
}

/**
 * Tells whether the buffer holds a number as long as a tag.
 *
 * Few processes have one, and a string for each of the others would be garbage.
 */
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

/** Adds a process to the table; returns `false` if its environment is not there yet. */
function enter(table: Map<number, ProcessEntry>, name: string, withTags: boolean): boolean {
  const stat = statText(name);
  const bare = processIn(stat, name);
  if (bare === undefined) {
    table.delete(Number(name));
    return true;
  }
  // Often most of a machine's processes, and two of three files less to read for each.
  const isMarked = bare.alive && !isKernelThread(stat);
  const cookie = isMarked ? readCookie(name) : undefined;
  const tags = isMarked && withTags ? readTags(name) : NO_TAGS;
  table.set(bare.pid, { ...bare, cookie: cookie ?? undefined, tags });
  return cookie !== null || !isInExec(name);
}

/**
 * True if a process without an environment is in execve(2). Until the kernel has laid out the new
 * stack, `/proc` shows neither the old environment nor the new one, and so no cookie.
 */
function isInExec(pid: string): boolean {
  const stat = statText(pid);
  const fields = statFields(stat);
  // A zombie main thread has no environment any more, although its other threads may still run.
  if (fields[0] === 'Z' || isKernelThread(stat)) return false;
  // Fields 50 and 51 of proc(5): env_start, env_end.
  const [start, end] = fields.slice(47);
  return end === '0' || start !== end;
}

export function listPids(): string[] {
  return readdirSync('/proc').filter((name) => name >= '1' && name < ':');
}

/**
 * The process table of Linux, from `/proc`, without a child process. Benchmarks turn the tags off
 * to measure their cost.
 */
export function linuxProcesses(clock: Clock, { withTags = true } = {}): Processes {
  return {
    async snapshot(): Promise<ProcessTable> {
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
        // Counted from the first pass, which alone may take as long on a busy machine.
        execByMs ??= clock.monotonicMs() + EXEC_MS;
        if (clock.monotonicMs() > execByMs) continue;
        // A timer instead of a turn of the event loop: those processes need the processor.
        await sleep(1, clock);
        due.push(...inExec);
      }
      return table;
    },
    read: readStat,
  };
}

/** Reads the PSS of each process off the event loop: the kernel walks all of its pages. */
export async function linuxPss(pids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const { readFile } = await import('node:fs/promises');
  const shares = new Map<number, number>();
  await Promise.all(
    pids.map(async (pid) => {
      // Exited, another user's, or a kernel without this file.
      const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
      const bytes = parsePss(text);
      if (bytes !== undefined) shares.set(pid, bytes);
    }),
  );
  return shares;
}

/**
 * The id of this boot; `''` where `/proc` shows only processes (`subset=pid`, systemd's
 * ProcSubset).
 *
 * Nothing else there tells boots apart: boot times move with the clock. An unknown boot differs
 * from a missing one. To a host that knows its boot, such an owner is unproven. Among hosts without
 * a boot id, PID namespace, pid and start time have to suffice.
 */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}

/** The machine's id (machine-id(5)); `undefined` where there is none, as in many containers. */
export function linuxMachineId(): string | undefined {
  return readSmallFile('/etc/machine-id').trim() || undefined;
}

/** This host's start time, boot and PID namespace, as the kernel tells them. */
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
