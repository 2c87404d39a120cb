import { uptime } from 'node:os';

/** USER_HZ, in which Linux tells start times to programs on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** From 1601, where Windows begins to count, to 1970. */
const FILE_TIME_EPOCH_MS = 11_644_473_600_000;

/** When a process of Linux started, from its clock ticks since boot; as exact as those, 10 ms. */
export function ticksMs(startTime: string, nowMs = Date.now()): number | undefined {
  const ticks = numberOf(startTime);
  if (ticks === undefined) return undefined;
  return wholeMs(nowMs - uptime() * 1000 + (ticks / TICKS_PER_SECOND) * 1000, nowMs);
}

/** The same on macOS, from seconds since 1970. */
export function secondsMs(startTime: string, nowMs = Date.now()): number | undefined {
  const seconds = numberOf(startTime);
  return seconds === undefined ? undefined : wholeMs(seconds * 1000, nowMs);
}

/** The same on Windows, from units of 100 ns since 1601. */
export function fileTimeMs(startTime: string, nowMs = Date.now()): number | undefined {
  const units = numberOf(startTime);
  return units === undefined ? undefined : wholeMs(units / 1e4 - FILE_TIME_EPOCH_MS, nowMs);
}

function numberOf(text: string): number | undefined {
  return /^\d{1,20}$/.test(text) && Number(text) > 0 ? Number(text) : undefined;
}

/** Nothing has started in the future, whatever two clocks say of it. */
function wholeMs(startedMs: number, nowMs: number): number {
  return Math.round(Math.min(startedMs, nowMs));
}
