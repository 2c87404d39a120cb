import type { Os } from '../os/os.ts';
import { readShares } from '../store/host-share.ts';
import { isOver } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { ownerOf } from './dead-shares.ts';
import { judgeBy, readerOf } from './judge.ts';

/** Interval at which a host that waits looks for dead hosts, in ms. */
const JUDGE_MS = 100;
/** The same where only a snapshot of all processes tells. */
const SLOW_JUDGE_MS = 1000;
/** Time in ms that the first in the queue has to sweep a dead host. Then others do, and it does so again. */
const SWEEP_MS = 1000;

export interface DeadHoldersContext {
  readonly os: Os;
  readonly stateDir: string;
  recovery(): Promise<RecoveryContext>;
  /** Ends the processes of dead hosts. */
  sweep(): Promise<unknown>;
}

/** A host that waits for a slot. */
export interface AskingHost {
  readonly set: string;
  readonly instance: string;
  /** Tells that no other host that asks has waited longer. */
  isFirst(): boolean;
  /** Called when dead hosts were swept. */
  swept(): void;
}

/** Finds the dead among the hosts that share slots, and has their trees ended: then their slots are free. */
export class DeadHolders {
  readonly #context: DeadHoldersContext;
  #owners: ReadonlySet<string> = new Set();
  /** When each of them is to be swept, on the monotonic clock. */
  readonly #dueAtMs = new Map<string, number>();
  #isLooking = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: DeadHoldersContext) {
    this.#context = context;
  }

  /** The owners that were dead at the last look: their turn is over. */
  get owners(): ReadonlySet<string> {
    return this.#owners;
  }

  /** Looks at the hosts of a set, unless that was just done. */
  look(asking: AskingHost): void {
    const { os } = this.#context;
    const nowMs = os.clock.monotonicMs();
    const everyMs = os.processes.read === undefined ? SLOW_JUDGE_MS : JUDGE_MS;
    if (this.#isLooking || nowMs - this.#lookedAtMs < everyMs) return;
    this.#lookedAtMs = nowMs;
    this.#isLooking = true;
    void this.#look(asking)
      // What could not be judged is judged at the next look.
      .catch(() => undefined)
      .then(() => {
        this.#isLooking = false;
      });
  }

  async #look({ set, instance, isFirst, swept }: AskingHost): Promise<void> {
    const { os, stateDir, recovery, sweep } = this.#context;
    const context = await recovery();
    const read = await readerOf(os);
    const dead = new Set<string>();
    for (const found of readShares(stateDir, os, set)) {
      const owner = found.owner === instance ? undefined : ownerOf(found, context);
      if (owner === undefined) continue;
      const { verdict } = await judgeBy(owner, context, read);
      if (isOver(verdict)) dead.add(found.owner);
    }
    this.#owners = dead;
    if (!this.#isDue(dead, isFirst)) return;
    await sweep();
    swept();
  }

  /** Tells that a dead host is to be swept now. The first in the queue begins; the others come later. */
  #isDue(dead: ReadonlySet<string>, isFirst: () => boolean): boolean {
    const nowMs = this.#context.os.clock.monotonicMs();
    for (const owner of this.#dueAtMs.keys()) if (!dead.has(owner)) this.#dueAtMs.delete(owner);
    const added = [...dead].filter((owner) => !this.#dueAtMs.has(owner));
    const delayMs = added.length > 0 && isFirst() ? 0 : SWEEP_MS;
    for (const owner of added) this.#dueAtMs.set(owner, nowMs + delayMs);
    const due = [...this.#dueAtMs].filter(([, atMs]) => atMs <= nowMs);
    for (const [owner] of due) this.#dueAtMs.set(owner, nowMs + SWEEP_MS);
    return due.length > 0;
  }
}
