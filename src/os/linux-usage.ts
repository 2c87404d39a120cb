import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { type Clock, sliced } from './clock.ts';
import type { Measured } from './cpu-shares.ts';
import { readSmallFile } from './small-file.ts';

/** Keys of the auxiliary vector (getauxval(3)). */
const AT_PAGESZ = 6n;
const AT_CLKTCK = 17n;

interface Units {
  readonly pageBytes: number;
  readonly tickMs: number;
}

let known: Units | undefined;

/**
 * Reads CPU time and memory of many processes, in slices that leave the event loop free. Leaves out
 * processes that have exited. Each file is closed before the next is opened.
 *
 * pidusage keeps a file open per process between its calls, and leaks it if the process dies
 * between open and first read.
 */
export async function linuxUsage(
  pids: readonly number[],
  clock: Clock,
): Promise<ReadonlyMap<number, Measured>> {
  known ??= systemUnits();
  const measured = new Map<number, Measured>();
  const uptimeMs = Number(readSmallFile('/proc/uptime').split(' ', 1)[0]) * 1000;
  const rest = sliced(clock);
  for (const pid of pids) {
    const one = parseUsage(readSmallFile(`/proc/${pid}/stat`), uptimeMs, known);
    if (one !== undefined) measured.set(pid, one);
    await rest();
  }
  return measured;
}

/** Reads CPU time and memory from a line of `/proc/PID/stat`; `undefined` for any other text. */
export function parseUsage(
  text: string,
  uptimeMs: number,
  { pageBytes, tickMs }: Units,
): Measured | undefined {
  // A name may contain anything, even parentheses and line feeds.
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

/** Page size and clock tick as the kernel tells this process; without that, the usual values. */
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
    // The kernel hides the vector from this process.
  }
  return entries;
}
