import type { SupervisorError } from '../errors.ts';
import type { Pool } from '../policy/pool.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import type { SlotLease } from './lease.ts';
import type { Runs } from './runs.ts';

/** Everything that may start a process later: queued requests, leases and runs. */
export class Waiting {
  readonly queued = new Set<ManagedProcess>();
  readonly leases = new Set<SlotLease>();
  readonly #runs: Runs;
  readonly #pool: () => Pool;

  /** `pool`: where requests wait now; options may be replaced. */
  constructor(runs: Runs, pool: () => Pool) {
    this.#runs = runs;
    this.#pool = pool;
  }

  /** Holds every start until `letGo`. */
  hold(): void {
    this.#pool().ready = false;
  }

  letGo(): void {
    this.#pool().ready = true;
  }

  /**
   * Refuses what waits and takes back what is leased, of one session or of all.
   *
   * Resolves when what others have launched on these leases, and nobody has adopted, is dead.
   */
  async refuse(error: () => SupervisorError, session?: string): Promise<void> {
    const matches = (id: string | undefined) => session === undefined || id === session;
    for (const run of this.#runs.of(session)) run.cease(error());
    for (const queued of [...this.queued])
      if (matches(queued.request.sessionId)) queued.leaveQueue(error());
    this.#pool().refuse((request) => matches(request.sessionId), error);
    const leases = [...this.leases].filter(({ sessionId }) => matches(sessionId));
    await Promise.all(leases.map((lease) => lease.revoke()));
  }
}
