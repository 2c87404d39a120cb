import { builtin } from './builtin.ts';
import { systemClock } from './clock.ts';
import type { Endpoint } from './os.ts';

/** The addresses to try for a port without a host; a server may listen at one or both. */
const LOOPBACK = ['127.0.0.1', '::1'] as const;

/**
 * Tells whether a connection to an endpoint succeeds within `timeoutMs`; never rejects. A port
 * without a host is tried at both loopback addresses.
 */
export function canConnect(endpoint: Endpoint, timeoutMs: number): Promise<boolean> {
  if ('socket' in endpoint) return connectAny([{ path: endpoint.socket }], timeoutMs);
  const { port, host } = endpoint;
  const hosts = host === undefined ? LOOPBACK : [host];
  const targets = hosts.map((each) => ({ port, host: each }));
  return connectAny(targets, timeoutMs);
}

/**
 * Uses running time, so that an answer that came while the host was stopped is read before the
 * timeout.
 */
function giveUpAfter(ms: number, giveUp: () => void): () => void {
  return systemClock.running.after(ms, giveUp, { keepAlive: true });
}

type Target = { readonly path: string } | { readonly port: number; readonly host: string };

/** Tries all targets at once; the first connection ends the other attempts. */
function connectAny(targets: readonly Target[], timeoutMs: number): Promise<boolean> {
  // Loaded at first use: only some hosts need it.
  const { connect } = builtin('node:net');
  return new Promise((resolve) => {
    const destroyAll: (() => void)[] = [];
    let pending = targets.length;
    const settle = (any: boolean): void => {
      cancel();
      for (const destroy of destroyAll) destroy();
      resolve(any);
    };
    const failed = (): void => {
      if (--pending === 0) settle(false);
    };
    const cancel = giveUpAfter(timeoutMs, () => settle(false));
    for (const target of targets) {
      try {
        const socket = connect(target);
        destroyAll.push(() => socket.destroy());
        socket.on('error', failed).once('connect', () => settle(true));
      } catch {
        // An invalid port or path.
        failed();
      }
    }
  });
}

/**
 * Tells whether a GET of an http or https URL gets a status of 200 to 299 within `timeoutMs`. Never
 * rejects, follows no redirect, uses no proxy, and does not read the body.
 */
export function answersOk(url: string, timeoutMs: number): Promise<boolean> {
  const target = URL.parse(url);
  const isHttps = target?.protocol === 'https:';
  if (target === null || (!isHttps && target.protocol !== 'http:')) return Promise.resolve(false);
  const { get } = isHttps ? builtin('node:https') : builtin('node:http');
  return new Promise((resolve) => {
    // An agent of its own: the shared one would keep the connection open.
    const request = get(target, { agent: false });
    const settle = (isOk: boolean): void => {
      cancel();
      request.destroy();
      resolve(isOk);
    };
    const cancel = giveUpAfter(timeoutMs, () => settle(false));
    request
      .on('error', () => settle(false))
      .once('response', (response) => {
        response.on('error', () => undefined);
        const { statusCode = 0 } = response;
        settle(statusCode >= 200 && statusCode < 300);
      })
      // A server that upgrades to another protocol never sends a response.
      .once('close', () => settle(false));
  });
}
