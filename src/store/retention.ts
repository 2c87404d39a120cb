import * as z from 'zod/mini';
import type { Os } from '../os/os.ts';
import { readOwnFile, replaceFile } from './files.ts';
import { FORMAT_VERSION } from './formats.ts';
import { parseJson } from './jsonl.ts';
import { clockPath } from './layout.ts';

/** A clock that is slewed, and files that are stamped by another one, may differ by so much. */
const TOLERANCE_MS = 600_000;
/** For how long a clock that was found ahead must go on before it is believed. */
const CONFIRM_MS = 24 * 3_600_000;
/** The file may be so much older than the last look. */
const WRITE_MS = 600_000;
const MAX_DATE_MS = 8.64e15;

const stamp = () =>
  z.object({
    at: z.number().check(z.minimum(0), z.maximum(MAX_DATE_MS)),
    bootId: z.string().check(z.maxLength(64)),
    sinceBootMs: z.number(),
  });

const content = z.lazy(() =>
  z.object({
    version: z.literal(FORMAT_VERSION),
    trusted: z.optional(stamp()),
    pending: z.optional(stamp()),
    last: stamp(),
    /** Since when the clock has not jumped. */
    steadySince: z.number(),
    /** Stamps between `from` and `to` count as of `as`: the clock has jumped since. */
    shift: z.optional(z.object({ from: z.number(), to: z.number(), as: z.number() })),
  }),
);

type Stamp = z.output<ReturnType<typeof stamp>>;

/** All that the hosts of a state directory know of the clock. */
export type ClockHistory = Readonly<Omit<z.output<typeof content>, 'version'>>;

/** Judges what is too old to be kept. */
export interface Retention {
  /** Wall clock, ms since 1970, as far as it is believed; `undefined`: nothing is too old. */
  readonly nowMs: number | undefined;
  /** Tells that a file with this stamp has been kept for long enough. */
  isOver(stampMs: number, retentionMs: number): boolean;
}

export interface RetentionContext {
  readonly os: Os;
  readonly stateDir: string;
  readonly bootId: string;
  /** Only looks, and notes nothing. */
  readonly dryRun: boolean;
}

/**
 * Looks at the wall clock, and says what may be forgotten by it.
 *
 * One look at a clock that has jumped ahead forgets nothing. Time counts if it has passed between two
 * looks on the clock since boot, too; else, as after a reboot or a long sleep, from when the clock was
 * found there and was not contradicted for a day.
 */
export function observeClock({ os, stateDir, bootId, dryRun }: RetentionContext): Retention {
  const path = clockPath(stateDir);
  const known = read(path, os);
  const now = { at: os.clock.now(), bootId, sinceBootMs: os.clock.sinceBootMs() };
  const seen = look(known, now);
  if (!dryRun && isNews(known, seen)) write(path, seen);
  return retentionOf(seen);
}

/** Adds one look at the clock to its history. */
export function look(known: ClockHistory | undefined, now: Stamp): ClockHistory {
  const { trusted, pending } = believe(known ?? {}, now);
  const dueMs = known && dueAt(known.last, now);
  const isSteady = dueMs === undefined || Math.abs(now.at - dueMs) <= TOLERANCE_MS;
  const steadySince = Math.min(known?.steadySince ?? now.at, now.at);
  if (isSteady) return { trusted, pending, last: now, steadySince, shift: known?.shift };
  // What was stamped while it went otherwise was seen just now.
  const shift = { from: steadySince, to: Math.max(dueMs, known?.last.at ?? 0), as: now.at };
  return { trusted, pending, last: now, steadySince: now.at, shift };
}

function believe(
  { trusted, pending }: Partial<Pick<ClockHistory, 'trusted' | 'pending'>>,
  now: Stamp,
): Pick<ClockHistory, 'trusted' | 'pending'> {
  const isContradicted = pending !== undefined && now.at < pending.at - TOLERANCE_MS;
  if (trusted !== undefined) {
    // Less is forgotten by the earlier one, whichever is right.
    if (now.at < trusted.at - TOLERANCE_MS) return { trusted: now, pending: undefined };
    const dueMs = dueAt(trusted, now);
    if (dueMs !== undefined && now.at <= dueMs + TOLERANCE_MS)
      return { trusted: now, pending: isContradicted ? undefined : pending };
  }
  if (pending === undefined || isContradicted) return { trusted, pending: now };
  const isThisBoot = dueAt(pending, now) !== undefined;
  const passedMs = isThisBoot ? now.sinceBootMs - pending.sinceBootMs : now.at - pending.at;
  if (passedMs < CONFIRM_MS) return { trusted, pending };
  const dueMs = dueAt(pending, now);
  const isDue = dueMs !== undefined && now.at <= dueMs + TOLERANCE_MS;
  return isDue ? { trusted: now, pending: undefined } : { trusted: pending, pending: now };
}

/** The time that the wall clock should show by the clock since boot; `undefined` in another boot. */
function dueAt(then: Stamp, { bootId, sinceBootMs }: Stamp): number | undefined {
  if (then.bootId === '' || then.bootId !== bootId) return undefined;
  return then.at + sinceBootMs - then.sinceBootMs;
}

export function retentionOf({ trusted, shift }: ClockHistory): Retention {
  return {
    nowMs: trusted?.at,
    isOver(stampMs, retentionMs) {
      if (trusted === undefined) return false;
      const isShifted = shift !== undefined && stampMs >= shift.from && stampMs <= shift.to;
      const seenMs = isShifted ? Math.max(stampMs, shift.as) : stampMs;
      return trusted.at - seenMs > retentionMs;
    },
  };
}

function read(path: string, os: Os): ClockHistory | undefined {
  try {
    return content.safeParse(parseJson(readOwnFile(path, os))).data;
  } catch {
    // There is none yet, or none of ours: nothing is known, and nothing forgotten.
    return undefined;
  }
}

/** Tells that a look is worth a write; a sweep comes every few seconds. */
function isNews(known: ClockHistory | undefined, seen: ClockHistory): boolean {
  if (known === undefined || seen.shift !== known.shift) return true;
  if (seen.pending !== known.pending || seen.last.bootId !== known.last.bootId) return true;
  return Math.abs(seen.last.at - known.last.at) >= WRITE_MS;
}

function write(path: string, seen: ClockHistory): void {
  try {
    replaceFile(path, `${JSON.stringify({ version: FORMAT_VERSION, ...seen })}\n`);
  } catch {
    // Without it, nothing is forgotten.
  }
}
