import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { type Clock, sliced } from './clock.ts';
import type { Measured } from './cpu-shares.ts';

/** More than the longest line of `/proc/PID/stat` takes. */
const buffer = Buffer.allocUnsafeSlow(4096);

/** Keys of the auxiliary vector (getauxval(3)). */
const AT_PAGESZ = 6n;
const AT_CLKTCK = 17n;

interface Units {
  readonly pageBytes: number;
  readonly tickMs: number;
}

let known: Units | undefined;

/**
 * Reads CPU time and memory of many processes, in slices that leave the event loop free; who is gone is
 * left out. Each file is closed before the next is opened.
 *
 * pidusage keeps a file open for each process between its calls, and for ever for one that dies between
 * its first open and its first read.
 */
export async function linuxUsage(
  pids: readonly number[],
  clock: Clock,
): Promise<ReadonlyMap<number, Measured>> {
  known ??= systemUnits();
  const measured = new Map<number, Measured>();
  const uptimeMs = Number(read('/proc/uptime').split(' ', 1)[0]) * 1000;
  const rest = sliced(clock);
  for (const pid of pids) {
    const one = parseUsage(read(`/proc/${pid}/stat`), uptimeMs, known);
    if (one !== undefined) measured.set(pid, one);
    await rest();
  }
  return measured;
}

/** What a line of `/proc/PID/stat` says of CPU time and memory; `undefined` for what is no such line. */
export function parseUsage(
  text: string,
  uptimeMs: number,
  { pageBytes, tickMs }: Units,
): Measured | undefined {
  // A name may hold anything, brackets and line feeds too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Fields 14, 15, 22 and 24 of proc(5).
  const [user, system, start, pages] = [11, 12, 19, 21].map((at) => Number(fields[at])) as [
    number,
    number,
    number,
    number,
  ];
  const cpuTimeMs = (user + system) * tickMs;
  const rssBytes = pages * pageBytes;
  const ageMs = Math.max(0, uptimeMs - start * tickMs);
  const isWhole = [cpuTimeMs, rssBytes, ageMs].every((value) => Number.isFinite(value));
  return isWhole ? { cpuTimeMs, rssBytes, ageMs } : undefined;
}

/** A small file's text; `''` for one that is gone or cannot be read. */
function read(path: string): string {
  let fd = -1;
  try {
    fd = openSync(path, 'r');
    return buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.length, 0));
  } catch {
    return '';
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

/** Page and clock tick as the kernel has told them to this process; without that, the usual ones. */
function systemUnits(): Units {
  const vector = auxiliaryVector();
  const tick = vector.get(AT_CLKTCK) ?? 100;
  return { pageBytes: vector.get(AT_PAGESZ) ?? 4096, tickMs: 1000 / tick };
}

function auxiliaryVector(): ReadonlyMap<bigint, number> {
  const entries = new Map<bigint, number>();
  try {
    const bytes = readFileSync('/proc/self/auxv');
    const isLittle = endianness() === 'LE';
    const word = (at: number) => (isLittle ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
    for (let at = 0; at + 16 <= bytes.length; at += 16) entries.set(word(at), Number(word(at + 8)));
  } catch {
    // Hidden from us.
  }
  return entries;
}
