import { SupervisorError } from '../index.ts';
import type { Endpoint, Listener, Os } from '../os/os.ts';
import { endpointOf, nameListeners, PROBE_MS } from '../ready/readiness.ts';
import type { CheckedReady } from './definition.ts';

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1)$/;

/** Finds the endpoint of a service; `undefined` if it may be on another machine. */
export function localEndpointOf(ready: CheckedReady | undefined): Endpoint | undefined {
  const endpoint = ready && endpointOf(ready.by);
  if (endpoint === undefined || !('port' in endpoint) || endpoint.host === undefined)
    return endpoint;
  return LOOPBACK.test(endpoint.host) ? endpoint : undefined;
}

/**
 * Refuses a service whose place is taken.
 *
 * @throws SupervisorError `ALREADY_RUNNING` naming who listens there
 */
export async function assertFree(endpoint: Endpoint, name: string, os: Os): Promise<void> {
  if (await os.probe.canConnect(endpoint, PROBE_MS))
    throw taken(endpoint, name, await os.listeners?.(endpoint));
}

/** Says who listens in the place of a service. */
export function taken(
  endpoint: Endpoint,
  name: string,
  strangers: readonly Listener[] | undefined,
): SupervisorError {
  const { pid, command } = strangers?.[0] ?? {};
  const where = 'port' in endpoint ? `port ${endpoint.port}` : `socket ${endpoint.socket}`;
  return new SupervisorError(
    'ALREADY_RUNNING',
    `Service "${name}" cannot be started: ${nameListeners(strangers)} listens on its ${where}, and is not of this service. End it, or give the service another place.`,
    { data: { name, ...endpoint, pid, command } },
  );
}
