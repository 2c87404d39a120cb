import { sleep } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import type { ProcessTree } from '../tree/tracked-tree.ts';
import { type DaemonLog, readLog } from './log.ts';
import { answers, endpointOf, holding, PROBE_MS } from './readiness.ts';
import type { Ready } from './ready.ts';

/** How often a daemon that starts is asked. */
const POLL_MS = 25;

export interface ReadyWait {
  readonly os: Os;
  readonly ready: Ready;
  /** The daemon's processes: one of them has to be the one who answers. */
  readonly tree: Pick<ProcessTree, 'liveMembers'>;
  /** The daemon itself, as far as it is known. */
  pid(): number;
  /** Whether anything of it is alive. */
  isAlive(): Promise<boolean>;
  readonly log: DaemonLog | undefined;
  /** In running time. */
  readonly untilMs: number;
  readonly signal: AbortSignal | undefined;
}

/** How the wait for a daemon went. */
export interface ReadyOutcome {
  readonly is: 'ready' | 'dead' | 'late' | 'aborted';
  /** Who of the daemon's processes listens. */
  readonly holder?: number | undefined;
  /** What the caller's check has thrown last. */
  readonly cause?: unknown;
  /** Somebody answered, and it was none of the daemon's processes. */
  readonly isStrangers?: boolean;
}

/** Waits until a daemon is ready and has proven to be the one who is, or until there is nothing to wait for. */
export async function awaitReady(wait: ReadyWait): Promise<ReadyOutcome> {
  const { os, untilMs, signal } = wait;
  const controller = new AbortController();
  let asking: Promise<void> | undefined;
  let last: ReadyOutcome = { is: 'late' };
  // However little time is left: one answer is waited for.
  let graceMs = PROBE_MS;
  const take = (outcome: ReadyOutcome): void => {
    last = outcome;
    graceMs = 0;
    asking = undefined;
  };
  try {
    for (;;) {
      asking ??= ask(wait, controller.signal).then(take, (cause) => take({ is: 'late', cause }));
      // One that never answers holds up nothing but itself.
      await Promise.race([asking, sleep(POLL_MS, os.clock.running)]);
      if (last.is === 'ready') return last;
      if (signal?.aborted) return { is: 'aborted', cause: signal.reason };
      if (!(await wait.isAlive())) return { ...last, is: 'dead' };
      if (os.clock.running.monotonicMs() >= untilMs + graceMs) return last;
      if (asking === undefined) await sleep(POLL_MS, os.clock.running);
    }
  } finally {
    controller.abort();
  }
}

async function ask(wait: ReadyWait, signal: AbortSignal): Promise<ReadyOutcome> {
  const { os, ready, log, tree } = wait;
  if ('stdout' in ready) {
    const isThere = readLog(log).toString().search(ready.stdout) !== -1;
    return { is: isThere ? 'ready' : 'late' };
  }
  const pid = wait.pid();
  if (!(await answers(ready, { pid, signal, timeoutMs: PROBE_MS }, os))) return { is: 'late' };
  const endpoint = endpointOf(ready);
  if (endpoint === undefined) return { is: 'ready' };
  const { ours, isTold } = await holding(endpoint, [pid], os);
  if (!isTold) return { is: 'ready' };
  const holder = ours[0] ?? (await heldInTree());
  return holder === undefined ? { is: 'late', isStrangers: true } : { is: 'ready', holder };

  async function heldInTree(): Promise<number | undefined> {
    const members = (await tree.liveMembers()).map((member) => member.pid);
    return endpoint && (await holding(endpoint, members, os)).ours[0];
  }
}
