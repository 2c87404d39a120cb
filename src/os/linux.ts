import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import type { Clock } from './clock.ts';
import {
  COOKIE_VARIABLE,
  type ProcessEntry,
  type Processes,
  type ProcessTable,
  type SelfIdentity,
} from './os.ts';
import { type BareProcess, parseProcStat } from './parse.ts';

/** How long one slice of a look may hold the event loop. */
const SLICE_MS = 8;
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
      if (length === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
      const read = readSync(fd, buffer, length, buffer.length - length, null);
      if (read === 0) return length;
      length += read;
    }
  } catch (error) {
    if (NORMAL_ERRORS.has((error as NodeJS.ErrnoException).code)) return -1;
    throw error;
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function readStat(pid: number | string): BareProcess | undefined {
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

/** The cookie in a process's environment; unreadable (another user's, gone) is normal and means none. */
function readCookie(pid: number | string): string | undefined {
  const length = readProc(`/proc/${pid}/environ`);
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

/** The process table of Linux: one pass over `/proc`, no child process. */
export function linuxProcesses(clock: Clock): Processes {
  return {
    async look(): Promise<ProcessTable> {
      const table = new Map<number, ProcessEntry>();
      let sliceStartMs = clock.monotonicMs();
      for (const name of readdirSync('/proc')) {
        if (name.charCodeAt(0) > 57 || name.charCodeAt(0) < 48) continue;
        const bare = readStat(name);
        if (bare === undefined) continue;
        table.set(bare.pid, { ...bare, cookie: bare.alive ? readCookie(name) : undefined });
        if (clock.monotonicMs() - sliceStartMs < SLICE_MS) continue;
        await new Promise<void>((resolve) => setImmediate(resolve));
        sliceStartMs = clock.monotonicMs();
      }
      return table;
    },
    read: readStat,
  };
}

/** Who this host is: start time, boot and PID namespace, as the kernel tells them. */
export function linuxIdentity(): SelfIdentity {
  const pid = process.pid;
  return {
    machine: hostname(),
    pid,
    startTime: readStat(pid)?.startTime,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
  };
}
