import type { Os } from '../os/os.ts';
import { readShares } from '../store/host-share.ts';
import { isOver } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { ownerOf } from './dead-shares.ts';
import { judgeBy, readerOf } from './judge.ts';

/** Interval at which a host that waits looks for dead hosts, in ms. */
const JUDGE_MS = 300;
/** The same where only a snapshot of all processes tells. */
const SLOW_JUDGE_MS = 1000;
/** Interval at which it has their processes ended, in ms. */
const SWEEP_MS = 1000;

export interface DeadHoldersContext {
  readonly os: Os;
  readonly stateDir: string;
  recovery(): Promise<RecoveryContext>;
  /** Ends the processes of dead hosts. */
  sweep(): Promise<unknown>;
}

/** Finds the dead among the hosts that share slots, and has their trees ended: then their slots are free. */
export class DeadHolders {
  readonly #context: DeadHoldersContext;
  #owners: ReadonlySet<string> = new Set();
  #isLooking = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: DeadHoldersContext) {
    this.#context = context;
  }

  /** The owners that were dead at the last look: their turn is over. */
  get owners(): ReadonlySet<string> {
    return this.#owners;
  }

  /** Looks at the hosts of a set, unless that was just done; calls `swept` when dead ones were swept. */
  look(set: string, self: string, swept: () => void): void {
    const { os } = this.#context;
    const nowMs = os.clock.monotonicMs();
    const everyMs = os.processes.read === undefined ? SLOW_JUDGE_MS : JUDGE_MS;
    if (this.#isLooking || nowMs - this.#lookedAtMs < everyMs) return;
    this.#lookedAtMs = nowMs;
    this.#isLooking = true;
    void this.#look(set, self, swept)
      // What could not be judged is judged at the next look.
      .catch(() => undefined)
      .then(() => {
        this.#isLooking = false;
      });
  }

  async #look(set: string, self: string, swept: () => void): Promise<void> {
    const { os, stateDir, recovery, sweep } = this.#context;
    const context = await recovery();
    const read = await readerOf(os);
    const dead = new Set<string>();
    for (const found of readShares(stateDir, os, set)) {
      const owner = found.owner === self ? undefined : ownerOf(found, context);
      if (owner === undefined) continue;
      const { verdict } = await judgeBy(owner, context, read);
      if (isOver(verdict)) dead.add(found.owner);
    }
    this.#owners = dead;
    const nowMs = os.clock.monotonicMs();
    // Another host may be at it: while that takes, nothing is gained by asking more often.
    if (dead.size === 0 || nowMs - this.#sweptAtMs < SWEEP_MS) return;
    this.#sweptAtMs = nowMs;
    await sweep();
    swept();
  }
}
