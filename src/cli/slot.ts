import { type HeldLock, holdLock } from '../containment/held-lock.ts';
import { isSupervisorError } from '../index.ts';
import { survey } from '../inspect/survey.ts';
import { sleep } from '../os/clock.ts';
import { makePrivateFolder } from '../store/files.ts';
import { slotLockPath } from '../store/layout.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { onlooker, type Registry } from './registry.ts';

const POLL_MS = 100;
/** EX_TEMPFAIL of sysexits.h: the run may work later. */
const TRY_AGAIN = 75;

/** A request for one of the `concurrency` slots for commands of a kind. */
export interface SlotOptions {
  readonly kind: string;
  readonly concurrency: number;
  /** @default no limit */
  readonly waitMs: number | undefined;
}

/**
 * Waits for a free slot, so that at most `concurrency` commands of a kind run with this state directory.
 * Each slot is a lock, which is taken over from a dead holder.
 *
 * @throws Refusal when the wait has taken longer than `waitMs`
 */
export async function takeSlot(
  { kind, concurrency, waitMs = Number.POSITIVE_INFINITY }: SlotOptions,
  { os, stateDir }: Registry,
  say: (text: string) => void,
): Promise<HeldLock> {
  makePrivateFolder(stateDir, os.userId());
  const untilMs = os.clock.running.monotonicMs() + waitMs;
  for (let isFirst = true; ; isFirst = false) {
    const holders: string[] = [];
    for (let slot = 1; slot <= concurrency; slot++) {
      const path = slotLockPath(stateDir, kind, slot);
      const lock = await holdLock(path, { timeoutMs: 0 }, os).catch((error) => {
        if (!isSupervisorError(error, 'READY_TIMEOUT')) throw error;
        holders.push(String(error.data['holder']));
      });
      if (lock?.held) return lock;
      if (lock) throw new Refusal(`No slot can be held: nothing can be written in ${stateDir}.`);
    }
    const full = `all ${concurrency} slots for kind "${plain(kind)}" are held: ${holders.join('; ')}`;
    if (os.clock.running.monotonicMs() >= untilMs)
      throw new Refusal(`Nothing was started: ${full}.`, TRY_AGAIN);
    if (isFirst) say(`waiting, for ${full}`);
    await sleep(POLL_MS, os.clock.running);
  }
}

/**
 * Waits until all processes of dead slot holders are dead. A guardian or another host may still be ending
 * them.
 *
 * @throws Refusal when the wait has taken longer than `waitMs`
 */
export async function awaitDeath(
  { kind, waitMs = Number.POSITIVE_INFINITY }: SlotOptions,
  registry: Registry,
): Promise<void> {
  const { os } = registry;
  const untilMs = os.clock.running.monotonicMs() + waitMs;
  for (;;) {
    const { owners } = await survey(await onlooker(registry));
    const left = owners
      .filter(({ verdict }) => verdict === 'dead')
      .flatMap(({ records }) => records)
      .find(({ record, members }) => {
        return record.kind === kind && !record.outlivesHost && members.length > 0;
      });
    if (left === undefined) return;
    if (os.clock.running.monotonicMs() >= untilMs) {
      const { command, pid } = left.record;
      throw new Refusal(
        `Nothing was started: ${command} (pid ${pid}) of a dead run is still alive.`,
        TRY_AGAIN,
      );
    }
    await sleep(POLL_MS, os.clock.running);
  }
}
