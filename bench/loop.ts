// How long the event loop of a host is held.

export interface LoopProbe {
  /** The longest time during which the event loop could not turn. */
  longestBlockMs(): Promise<number>;
  /** The most that the thread itself worked without a turn: without the time that the machine gave to others. */
  longestWorkMs(): number;
}

/** Turns the event loop without a pause, and watches how long each turn takes. */
export function probeLoop(): LoopProbe {
  let [longestMs, longestWorkMs] = [0, 0];
  let lastMs = performance.now();
  let lastWorkMs = workMs();
  let next = setImmediate(turn);
  function turn(): void {
    const [nowMs, nowWorkMs] = [performance.now(), workMs()];
    longestMs = Math.max(longestMs, nowMs - lastMs);
    longestWorkMs = Math.max(longestWorkMs, nowWorkMs - lastWorkMs);
    [lastMs, lastWorkMs] = [nowMs, nowWorkMs];
    next = setImmediate(turn);
  }
  return {
    async longestBlockMs() {
      // The last block ends with the turn in which what is measured resolves.
      await new Promise((resolve) => setImmediate(resolve));
      clearImmediate(next);
      return longestMs;
    },
    longestWorkMs: () => longestWorkMs,
  };
}

function workMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
