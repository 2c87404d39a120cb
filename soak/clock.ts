// The time of a soak. A machine that stands still (a virtual one is moved, a laptop sleeps, others have
// its cores) lets nobody keep a deadline: what is longer than a moment between two readings is left out.

/** The witness looks every 100 ms, and a look may take long. */
const MOMENT_MS = 1000;

let lastMs = performance.now();
let timeMs = 0;

/** Milliseconds that have passed since the soak began, without those in which it stood still. */
export function now(): number {
  const nowMs = performance.now();
  timeMs += Math.min(nowMs - lastMs, MOMENT_MS);
  lastMs = nowMs;
  return timeMs;
}
