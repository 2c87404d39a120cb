// Bounded polling: a test waits until it can see the result, never for a fixed time.
import { setTimeout as delay } from 'node:timers/promises';

export interface Patience {
  /** @default 10_000 */
  readonly timeoutMs?: number;
  /** @default 25 */
  readonly everyMs?: number;
  /** The subject of the error's message. */
  readonly what?: string;
}

/** Polls until `look` returns something but `undefined`, `null` or `false`, and returns it. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  { timeoutMs = 10_000, everyMs = 25, what = look.toString() }: Patience = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false)
      return found as NonNullable<Exclude<T, false>>;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(everyMs);
  }
}
