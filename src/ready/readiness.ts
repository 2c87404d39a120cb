import { resolve } from 'node:path';
import type { Endpoint, Listener, Os } from '../os/os.ts';
import type { Ready } from './ready.ts';

/** Timeout of one attempt to reach a daemon. */
export const PROBE_MS = 1000;

/** Finds the endpoint of a daemon; `undefined` if its readiness names none. */
export function endpointOf(ready: Ready): Endpoint | undefined {
  if ('port' in ready) return { port: ready.port, host: ready.host };
  if ('socket' in ready) return { socket: socketPath(ready.socket) };
  if (!('url' in ready)) return undefined;
  const { hostname, port, protocol } = new URL(ready.url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    port: Number(port) || (protocol === 'https:' ? 443 : 80),
    // `localhost` is this machine, whatever it resolves to.
    host: host === 'localhost' ? undefined : host,
  };
}

/** Makes the path of a socket absolute. The name of an abstract socket (Linux) stays. */
export function socketPath(socket: string): string {
  return socket.startsWith('\0') ? socket : resolve(socket);
}

/** Resolves to `true` if any process is ready there, the daemon or another one. */
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

/** The holders of an endpoint among the given processes. */
export interface Holding {
  /** Pids of the given processes that hold the endpoint. */
  readonly ours: readonly number[];
  /** `false` if the system cannot tell the holders: then the answer alone has to suffice. */
  readonly isTold: boolean;
}

/** Finds those of the given processes that listen on an endpoint. */
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

/** Names the listening processes, for an error. */
export function nameListeners(listeners: readonly Listener[] | undefined): string {
  const names = (listeners ?? []).map(({ pid, command, uid }) => {
    if (pid !== undefined) return `pid ${pid} (${command})`;
    return uid === undefined ? 'a process that the system hides' : `a process of uid ${uid}`;
  });
  return names.length === 0 ? 'a process that the system does not show' : names.join(', ');
}
