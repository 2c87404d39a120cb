import { uptime } from 'node:os';

/** USER_HZ, the unit of start times for programs on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** From 1601, the epoch of Windows, to 1970. */
const FILE_TIME_EPOCH_MS = 11_644_473_600_000;

/** Converts Linux's start time, in clock ticks since boot, to ms since 1970; exact to 10 ms. */
export function ticksMs(startTime: string, nowMs = Date.now()): number | undefined {
  const ticks = numberOf(startTime);
  if (ticks === undefined) return undefined;
  return wholeMs(nowMs - uptime() * 1000 + (ticks / TICKS_PER_SECOND) * 1000, nowMs);
}

/** Converts macOS's start time, in seconds since 1970, to ms. */
export function secondsMs(startTime: string, nowMs = Date.now()): number | undefined {
  const seconds = numberOf(startTime);
  return seconds === undefined ? undefined : wholeMs(seconds * 1000, nowMs);
}

/** Converts Windows's start time, in units of 100 ns since 1601, to ms since 1970. */
export function fileTimeMs(startTime: string, nowMs = Date.now()): number | undefined {
  const units = numberOf(startTime);
  return units === undefined ? undefined : wholeMs(units / 1e4 - FILE_TIME_EPOCH_MS, nowMs);
}

function numberOf(text: string): number | undefined {
  return /^\d{1,20}$/.test(text) && Number(text) > 0 ? Number(text) : undefined;
}

/** Limits a start to now, since the two clocks may differ a little. */
function wholeMs(startedMs: number, nowMs: number): number {
  return Math.round(Math.min(startedMs, nowMs));
}
