import type { ServerResponse } from 'node:http';

/** Holds answers back until the test opens their gate, to order events without fixed sleeps. */
export class Gates {
  readonly #opened = new Set<string>();
  readonly #queues = new Map<string, Set<() => void>>();

  waiting(gate: string): number {
    return this.#queues.get(gate)?.size ?? 0;
  }

  open(gate: string): void {
    this.#opened.add(gate);
    for (const pass of this.#queues.get(gate) ?? []) pass();
  }

  /** Resolves with `true` if the gate was opened, and `false` if the client disconnected first. */
  async pass(gate: string, res: ServerResponse): Promise<boolean> {
    if (this.#opened.has(gate)) return true;
    const queue = this.#queues.get(gate) ?? new Set();
    this.#queues.set(gate, queue);
    return new Promise((resolve) => {
      const settle = (opened: boolean) => {
        queue.delete(pass);
        resolve(opened);
      };
      const pass = () => settle(true);
      queue.add(pass);
      res.once('close', () => settle(false));
    });
  }
}
