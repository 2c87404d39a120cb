import { builtin } from './builtin.ts';
import { systemClock } from './clock.ts';
import type { Endpoint } from './os.ts';

/** Where a port is tried if nobody says at which address: a listener may have either, or both. */
const LOOPBACK = ['127.0.0.1', '::1'] as const;

/**
 * Tells whether somebody takes connections there, within `timeoutMs`. Never rejects; a port without a
 * host is tried at both loopback addresses.
 */
export function canConnect(endpoint: Endpoint, timeoutMs: number): Promise<boolean> {
  if ('socket' in endpoint) return connectAny([{ path: endpoint.socket }], timeoutMs);
  const { port, host } = endpoint;
  const hosts = host === undefined ? LOOPBACK : [host];
  const targets = hosts.map((each) => ({ port, host: each }));
  return connectAny(targets, timeoutMs);
}

/** An answer that has come while the host stood still is read before its time is up. */
function giveUpAfter(ms: number, giveUp: () => void): () => void {
  return systemClock.running.after(ms, giveUp, { keepAlive: true });
}

type Target = { readonly path: string } | { readonly port: number; readonly host: string };

/** Tries all at once; the first that connects ends the other attempts. */
function connectAny(targets: readonly Target[], timeoutMs: number): Promise<boolean> {
  // Loaded at the first probe, as everything is that only some hosts need.
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
        // A port or a path that no system has.
        failed();
      }
    }
  });
}

/**
 * Tells whether a GET of this http or https address is answered with a status of 200 to 299, within
 * `timeoutMs`. Never rejects, follows no redirect, uses no proxy, and does not read the body.
 */
export function answersOk(url: string, timeoutMs: number): Promise<boolean> {
  const target = URL.parse(url);
  const isHttps = target?.protocol === 'https:';
  if (target === null || (!isHttps && target.protocol !== 'http:')) return Promise.resolve(false);
  const { get } = isHttps ? builtin('node:https') : builtin('node:http');
  return new Promise((resolve) => {
    // An agent of its own: the shared one would keep the connection for others.
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
      // One who answers with another protocol's handshake never sends a response.
      .once('close', () => settle(false));
  });
}
