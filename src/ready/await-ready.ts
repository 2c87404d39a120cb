import { sleep } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import type { ProcessTree } from '../tree/tracked-tree.ts';
import { type DaemonLog, readLog } from './log.ts';
import { answers, endpointOf, holding, PROBE_MS } from './readiness.ts';
import type { Ready } from './ready.ts';

/** Poll interval for a process that starts. */
const POLL_MS = 25;

export interface ReadyWait {
  readonly os: Os;
  readonly ready: Ready;
  /** The daemon's processes. One of them must be the one that answers. */
  readonly tree: Pick<ProcessTree, 'liveMembers'>;
  /** The pid of the daemon itself, as far as it is known. */
  pid(): number;
  /** Resolves to `true` if any process of the daemon is alive. */
  isAlive(): Promise<boolean>;
  readonly log: DaemonLog | undefined;
  /** On `os.clock.running`, which does not count time in which the host was stopped or suspended. */
  readonly untilMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The result of waiting for a daemon. */
export interface ReadyOutcome {
  readonly is: 'ready' | 'dead' | 'late' | 'aborted';
  /** The pid of the daemon's process that listens. */
  readonly holder?: number | undefined;
  /** The last error that the caller's own check has thrown. */
  readonly cause?: unknown;
  /** `true` if a process answered that is none of the daemon's. */
  readonly isStrangers?: boolean;
}

/**
 * Waits until a daemon is proven ready, exits, or runs out of time. An answer counts only if one of the
 * daemon's own processes listens.
 */
export async function awaitReady(wait: ReadyWait): Promise<ReadyOutcome> {
  const { os, untilMs, signal } = wait;
  const controller = new AbortController();
  let asking: Promise<void> | undefined;
  let last: ReadyOutcome = { is: 'late' };
  // One answer is awaited, however little time is left.
  let graceMs = PROBE_MS;
  const take = (outcome: ReadyOutcome): void => {
    last = outcome;
    graceMs = 0;
    asking = undefined;
  };
  try {
    for (;;) {
      asking ??= ask(wait, controller.signal).then(take, (cause) => take({ is: 'late', cause }));
      // A check that never answers must not block this loop.
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
