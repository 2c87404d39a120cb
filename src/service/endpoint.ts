import { SupervisorError } from '../index.ts';
import type { Endpoint, Listener, Os } from '../os/os.ts';
import { canConnect } from '../os/probe.ts';
import type { CheckedReady } from './definition.ts';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
const CONNECT_MS = 1000;

/** Where it listens, if that is on this machine. */
export function endpointOf(ready: CheckedReady | undefined): Endpoint | undefined {
  if (ready?.port !== undefined) return { port: ready.port };
  if (ready?.socket !== undefined) return { socket: ready.socket };
  if (ready?.url === undefined) return undefined;
  const { hostname, port, protocol } = new URL(ready.url);
  if (!LOOPBACK.test(hostname)) return undefined;
  return { port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

/**
 * Refuses a service whose place is taken.
 *
 * @throws SupervisorError `ALREADY_RUNNING` naming who listens there
 */
export async function assertFree(endpoint: Endpoint, name: string, os: Os): Promise<void> {
  if (!(await canConnect(endpoint, CONNECT_MS))) return;
  const [stranger] = (await os.listeners?.(endpoint)) ?? [];
  throw taken(endpoint, name, stranger);
}

/** Says who listens in the place of a service. */
export function taken(endpoint: Endpoint, name: string, stranger?: Listener): SupervisorError {
  const { pid, command } = stranger ?? {};
  const where = 'port' in endpoint ? `port ${endpoint.port}` : `socket ${endpoint.socket}`;
  const who = pid === undefined ? 'somebody' : `pid ${pid} (${command})`;
  return new SupervisorError(
    'ALREADY_RUNNING',
    `Service "${name}" cannot be started: ${who} listens on its ${where}, and is not of this service. End it, or give the service another place.`,
    { data: { name, ...endpoint, pid, command } },
  );
}
