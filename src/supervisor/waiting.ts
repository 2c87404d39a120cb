import type { SupervisorError } from '../errors.ts';
import type { QueuedStart } from '../process/queue.ts';
import type { Corridor } from '../process/supervision.ts';
import type { SlotLease } from './lease.ts';
import type { Runs } from './runs.ts';

/** Everything that may start a process later: queued requests, leases and runs. */
export class Waiting {
  readonly queued = new Set<QueuedStart>();
  readonly leases = new Set<SlotLease>();
  readonly #runs: Runs;
  readonly #pools: () => Pick<Corridor, 'pool' | 'gate'>;

  /** `pools`: where requests wait now; options may be replaced. */
  constructor(runs: Runs, pools: () => Pick<Corridor, 'pool' | 'gate'>) {
    this.#runs = runs;
    this.#pools = pools;
  }

  /** Holds every start until `letGo`. */
  hold(): void {
    const { pool, gate } = this.#pools();
    pool.pause();
    gate.pause();
  }

  letGo(): void {
    const { pool, gate } = this.#pools();
    pool.open();
    gate.open();
  }

  /** Refuses what waits and takes back what is leased, of one session or of all. */
  refuse(error: () => SupervisorError, session?: string): void {
    const matches = (id: string | undefined) => session === undefined || id === session;
    for (const run of this.#runs.of(session)) run.cease(error());
    for (const queued of [...this.queued]) if (matches(queued.sessionId)) queued.refuse(error());
    this.#pools().pool.refuse((request) => matches(request.sessionId), error);
    for (const lease of [...this.leases]) if (matches(lease.sessionId)) lease.release();
  }
}
