// How long the event loop of a host is held.

/** Finds the longest time during which the event loop could not turn. */
export function probeLoop(): { longestBlockMs(): Promise<number> } {
  let longestMs = 0;
  let lastMs = performance.now();
  let next = setImmediate(turn);
  function turn(): void {
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
    next = setImmediate(turn);
  }
  return {
    async longestBlockMs() {
      // The last block ends with the turn in which what is measured resolves.
      await new Promise((resolve) => setImmediate(resolve));
      clearImmediate(next);
      return longestMs;
    },
  };
}
