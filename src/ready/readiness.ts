import { resolve } from 'node:path';
import type { Endpoint, Listener, Os } from '../os/os.ts';
import type { Ready } from './ready.ts';

/** How long one attempt to reach a daemon may take. */
export const PROBE_MS = 1000;

/** Where a daemon is to listen; `undefined` if its readiness does not say. */
export function endpointOf(ready: Ready): Endpoint | undefined {
  if ('port' in ready) return { port: ready.port, host: ready.host };
  if ('socket' in ready) return { socket: socketPath(ready.socket) };
  if (!('url' in ready)) return undefined;
  const { hostname, port, protocol } = new URL(ready.url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    port: Number(port) || (protocol === 'https:' ? 443 : 80),
    // Whatever the name stands for, it is this machine.
    host: host === 'localhost' ? undefined : host,
  };
}

/** A path of a socket whichever folder it is read in; an abstract one (Linux) has none. */
export function socketPath(socket: string): string {
  return socket.startsWith('\0') ? socket : resolve(socket);
}

/** Whether somebody is ready there, whoever that is. */
export async function answers(
  ready: Exclude<Ready, { stdout: RegExp }>,
  context: { readonly pid: number; readonly signal: AbortSignal; readonly timeoutMs: number },
  { probe }: Pick<Os, 'probe'>,
): Promise<boolean> {
  const { timeoutMs } = context;
  if ('check' in ready) return (await ready.check(context)) === true;
  if ('url' in ready) return probe.answersOk(ready.url, timeoutMs);
  return probe.canConnect(endpointOf(ready) ?? ready, timeoutMs);
}

/** Who holds an endpoint, of some processes on the one side and all others on the other. */
export interface Holding {
  /** Which of the processes hold it. */
  readonly ours: readonly number[];
  /** Whether the system could tell; if not, the answer itself has to do. */
  readonly isTold: boolean;
}

/** Finds out whether one of these processes listens there. */
export async function holding(
  endpoint: Endpoint,
  pids: readonly number[],
  os: Pick<Os, 'listeners'>,
): Promise<Holding> {
  const listeners = await os.listeners?.(endpoint, pids);
  const holders = listeners?.map(({ pid }) => pid) ?? [];
  return {
    ours: pids.filter((pid) => holders.includes(pid)),
    isTold: listeners !== undefined,
  };
}

/** Names who listens, for an error. */
export function nameListeners(listeners: readonly Listener[] | undefined): string {
  const names = (listeners ?? []).map(({ pid, command, uid }) => {
    if (pid !== undefined) return `pid ${pid} (${command})`;
    return uid === undefined ? 'a process that the system hides' : `a process of uid ${uid}`;
  });
  return names.length === 0 ? 'a process that the system does not show' : names.join(', ');
}
