import { SupervisorError } from '../errors.ts';
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

export function timedOut(timeoutMs: number, waitsFor: WaitsFor): SupervisorError {
  const { cause, name } = waitsFor;
  const data = { timeoutMs, waitsFor: cause, ...(name !== undefined && { name }) };
  return new SupervisorError('POOL_TIMEOUT', `${saysOf(waitsFor, timeoutMs)}`, { data });
}

function saysOf({ cause, name }: WaitsFor, timeoutMs: number): string {
  const wait = 'pool.waitTimeoutMs, or end what holds';
  switch (cause) {
    case 'start':
      return `The supervisor was not ready within ${timeoutMs} ms. Await supervisor.start() first, or raise pool.waitTimeoutMs.`;
    case 'pause':
      return `The pool was paused for ${timeoutMs} ms and more. Call supervisor.pool.resume(), or raise pool.waitTimeoutMs.`;
    case 'key':
      return `The key "${name}" did not become free within ${timeoutMs} ms. Raise its number in pool.perKey or ${wait} the key (supervisor.list()).`;
    case 'starting':
      return `Others of the kind "${name}" were starting for ${timeoutMs} ms. Raise pool.startingPerKind or ${wait} them up.`;
    case 'slot':
      return `No slot became free within ${timeoutMs} ms. Raise pool.concurrency or ${wait} the slots (supervisor.list()).`;
  }
}
