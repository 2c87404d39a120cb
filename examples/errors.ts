import { getSupervisor, isSupervisorError } from 'agent-supervisor';

const supervisor = getSupervisor({ pool: { concurrency: 1 } });

const missing = supervisor.spawn({ command: 'no-such-program' });
const { cause, error } = await missing.exited;
console.log(cause, error?.code); // also: 'error' is emitted, and `started` rejects

const lease = await supervisor.acquire();
try {
  await supervisor.acquire({ timeoutMs: 100 });
} catch (refusal) {
  if (!isSupervisorError(refusal, 'POOL_TIMEOUT')) throw refusal;
  console.log(refusal.code, refusal.data);
}
lease.release();
