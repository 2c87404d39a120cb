import { SharedMachine } from '../containment/machine.ts';
import { isSupervisorError, type SlotLease, type Supervisor } from '../index.ts';
import type { JoinMachine } from '../supervisor/internals.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';

/** EX_TEMPFAIL of sysexits.h: the run may work later. */
const TRY_AGAIN = 75;
/** A wait for ever, for a timer that takes no infinity. */
const FOR_EVER_MS = Number.MAX_SAFE_INTEGER;

/** A request for one of the `concurrency` slots of the machine, or of a kind. */
export interface SlotOptions {
  /** `undefined` for the slots that the hosts of the machine share. */
  readonly kind: string | undefined;
  readonly concurrency: number;
  /** @default no limit */
  readonly waitMs: number | undefined;
}

/** The options of a supervisor that needs such a slot for each of its processes. */
export const poolOf = ({ concurrency }: SlotOptions) => ({
  concurrency: 1,
  machineConcurrency: concurrency,
});

/** Makes a supervisor share the slots of the machine, or of a kind. */
export const joinOf =
  ({ kind }: SlotOptions): JoinMachine =>
  (context) =>
    new SharedMachine(context, kind);

/**
 * Waits for a free slot, and says so if there is none yet.
 *
 * @throws Refusal when the wait has taken longer than `waitMs`
 */
export async function takeSlot(
  { waitMs = FOR_EVER_MS }: SlotOptions,
  supervisor: Supervisor,
  say: (text: string) => void,
): Promise<SlotLease> {
  const lease = supervisor.acquire({ timeoutMs: waitMs, unusedMs: null });
  const { pool } = supervisor.internals.snapshot();
  const obstacle = () => plain(pool.machineObstacle ?? 'no slot is free');
  if (pool.waiting.size > 0 && waitMs > 0) say(`waiting, for ${obstacle()}`);
  try {
    return await lease;
  } catch (error) {
    if (isSupervisorError(error, 'POOL_TIMEOUT'))
      throw new Refusal(`Nothing was started: ${String(error.data['reason'])}.`, TRY_AGAIN);
    if (isSupervisorError(error, 'STOPPING'))
      throw new Refusal('Nothing was started: the wait was ended by a signal.');
    throw error;
  }
}
