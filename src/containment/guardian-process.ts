// The guardian where there is no POSIX shell: sent as text (os/guard.ts), imported by no module.
import { hostPipe } from '../os/host-pipe.ts';
import { systemOs } from '../os/system.ts';
import { HostRemains } from './host-remains.ts';

const os = systemOs();
for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const)
  os.onSignal(signal, () => undefined);

const { args, lines, ready } = hostPipe();
const [owner = '', politeMs, forcedMs, hostPid, tag] = args;
const remains = new HostRemains(os, { owner, hostPid: Number(hostPid), tag });
ready();
if (await outlivesHost())
  await remains.end({ politeMs: Number(politeMs), forcedMs: Number(forcedMs) });

/** Reads the host's messages until the host is gone; false if the host disarms the guardian. */
async function outlivesHost(): Promise<boolean> {
  for await (const line of lines) {
    const [change, pid, startTime] = line.split(' ');
    if (change === '+') remains.register(Number(pid), startTime || undefined);
    else if (change === '-') remains.forget(Number(pid));
    else if (change === 'disarm') return false;
  }
  return true;
}
