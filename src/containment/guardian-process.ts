// The guardian where there is no POSIX shell: sent as text (os/guard.ts), imported by no module.
import { runGuardedCleanup } from '../os/guardian-cleanup.ts';
import { hostPipe } from '../os/host-pipe.ts';
import type { GuardedCleanup } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { HostRemains } from './host-remains.ts';

const os = systemOs();
for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const)
  os.onSignal(signal, () => undefined);

const { args, lines, ready } = hostPipe();
const [owner = '', politeMs, forcedMs, hostPid, tag] = args;
const remains = new HostRemains(os, { owner, hostPid: Number(hostPid), tag });
ready();
const cleanups = new Map<string, GuardedCleanup>();
if (await outlivesHost()) {
  await remains.end({ politeMs: Number(politeMs), forcedMs: Number(forcedMs) });
  await Promise.all([...cleanups.values()].map(runGuardedCleanup));
}

/** Reads the host's messages until the host is gone; false if the host disarms the guardian. */
async function outlivesHost(): Promise<boolean> {
  for await (const line of lines) {
    const [change, pid, startTime] = line.split(' ');
    if (change === '+') remains.register(Number(pid), startTime || undefined);
    else if (change === '-') remains.forget(Number(pid));
    else if (change === 'spare') remains.spare(pid ?? '');
    else if (change === 'cleanup') addCleanup(line);
    else if (change === 'cleaned') cleanups.delete(pid ?? '');
    else if (change === 'disarm') return false;
  }
  return true;
}

/** Takes `cleanup KEY MS JSON`. */
function addCleanup(line: string): void {
  const [, key = '', json = ''] = /^cleanup (\d+) \d+ (.*)$/.exec(line) ?? [];
  if (key !== '') cleanups.set(key, JSON.parse(json));
}
