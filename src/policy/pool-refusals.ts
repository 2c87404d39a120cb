import { isSupervisorError, SupervisorError } from '../errors.ts';
import type { WaitsFor } from '../reports.ts';

export function aborted(signal: AbortSignal | undefined): SupervisorError {
  return new SupervisorError(
    'ABORTED',
    'The request was aborted while it waited for a slot; nothing was started.',
    { cause: signal?.reason },
  );
}

export function queueFull(waiting: number, maxWaiting: number): SupervisorError {
  return new SupervisorError(
    'QUEUE_FULL',
    `${waiting} requests wait for a slot already, and pool.maxWaiting is ${maxWaiting}; nothing was started. Try again later, or raise pool.maxWaiting or pool.concurrency.`,
    { data: { waiting, maxWaiting } },
  );
}

/** The refusal of a request whose turn could not be taken. */
export function failed(cause: unknown): SupervisorError {
  if (isSupervisorError(cause)) return cause;
  const message = `The process could not be started: ${String(cause)}`;
  return new SupervisorError('SPAWN_FAILED', message, { cause });
}

/** The bound for which a request has waited in vain, and the reason. */
interface Wait {
  readonly waitsFor: WaitsFor;
  readonly reason: string;
}

export function timedOut(timeoutMs: number, { waitsFor, reason }: Wait): SupervisorError {
  const { cause, name } = waitsFor;
  const message = saysOf({ waitsFor, reason }, timeoutMs);
  return new SupervisorError('POOL_TIMEOUT', message, {
    data: {
      ...{ timeoutMs, waitsFor: cause, reason },
      ...(name !== undefined && { name }),
      ...(cause === 'machine' && { obstacle: reason }),
    },
  });
}

/** Explains in a clause why a request waits for a bound. */
export function reasonOf({ cause, name }: WaitsFor, limit: number): string {
  switch (cause) {
    case 'start':
      return 'the supervisor may start nothing yet';
    case 'pause':
      return 'the pool is paused';
    case 'key':
      return `${limit} hold the key "${name}" already`;
    case 'starting':
      return `${limit} of the kind "${name}" are starting`;
    case 'slot':
      return `all ${limit} slots are held`;
    case 'machine':
      return 'no slot of the machine is free';
    case 'condition':
      return 'what it needs beside its slot was not free';
  }
}

function saysOf({ waitsFor: { cause, name }, reason }: Wait, timeoutMs: number): string {
  const timeout = 'the time-out (pool.waitTimeoutMs; pool.hookTimeoutMs of a spawn hook)';
  const wait = `${timeout}, or end what holds`;
  switch (cause) {
    case 'start':
      return `The supervisor was not ready within ${timeoutMs} ms. Await supervisor.start() first, or raise ${timeout}.`;
    case 'pause':
      return `The pool was paused for ${timeoutMs} ms and more. Call supervisor.pool.resume(), or raise ${timeout}.`;
    case 'key':
      return `The key "${name}" did not become free within ${timeoutMs} ms. Raise its number in pool.perKey or ${wait} the key (supervisor.list()).`;
    case 'starting':
      return `Others of the kind "${name}" were starting for ${timeoutMs} ms. Raise pool.startingPerKind or ${wait} them up.`;
    case 'slot':
      return `No slot became free within ${timeoutMs} ms. Raise pool.concurrency or ${wait} the slots (supervisor.list()).`;
    case 'machine':
      return `No slot became free within ${timeoutMs} ms: ${reason}. Raise pool.machineConcurrency of all hosts, or ${timeout}.`;
    case 'condition':
      return `The request could not go on within ${timeoutMs} ms: ${reason}. Raise ${wait} it up (supervisor.list()).`;
  }
}
