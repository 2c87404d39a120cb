import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { waiveToken } from './authorize.ts';

/** A Web-standard handler of requests. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

export interface NodeListenerOptions {
  /**
   * Asks for no token where the socket and the Host header are of the loopback, and nothing tells of a
   * proxy. Whoever may open a socket on this machine may then see and end everything, so leave it off on
   * machines with several users, and behind a proxy that hides itself. @default false
   */
  waiveTokenOnLoopback?: boolean | undefined;
}

/** What `node:http`, Express, and Fastify's raw request and response call. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => void;

const listenerArguments = z.object({
  handler: z.custom((value) => typeof value === 'function', { error: 'must be a function' }),
  options: z.prefault(z.strictObject({ waiveTokenOnLoopback: z._default(z.boolean(), false) }), {}),
});

/** Longer than between two heartbeats: a client that takes nothing for so long is gone. */
const STALLED_MS = 60_000;

/**
 * Makes a listener for `node:http` of a Web-standard handler; frameworks may have read a body or
 * stripped a prefix before.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * createServer(toNodeListener(doctorHandler(supervisor, { token }))).listen(4711, '127.0.0.1');
 * ```
 */
export function toNodeListener(
  handler: FetchHandler,
  options: NodeListenerOptions = {},
): NodeListener {
  const { waiveTokenOnLoopback } = parseInput(
    listenerArguments,
    { handler, options },
    'toNodeListener',
  ).options;
  return (message, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    void (async () => {
      let answer: Response;
      try {
        const request = toRequest(message, gone.signal);
        if (waiveTokenOnLoopback && isOfLoopback(message)) waiveToken(request);
        answer = await handler(request);
      } catch (error) {
        // A request that is no request; what a handler throws is told to nobody outside.
        const status = error instanceof BadRequest ? 400 : 500;
        const text = status === 400 ? 'This is no request.' : 'The handler failed.';
        answer = Response.json({ error: text }, { status });
      }
      await send(answer, response, gone.signal);
    })().catch(() => response.destroy());
  };
}

class BadRequest extends Error {}

interface FrameworkRequest extends IncomingMessage {
  /** Express: before a router has stripped its prefix. */
  readonly originalUrl?: string;
  /** Whatever a parser of the framework has made of the body. */
  readonly body?: unknown;
}

function toRequest(message: FrameworkRequest, signal: AbortSignal): Request {
  const { method = 'GET' } = message;
  const scheme = 'encrypted' in message.socket ? 'https' : 'http';
  const host = message.headers[':authority'] ?? message.headers.host ?? 'localhost';
  const headers = new Headers();
  for (const [at, name] of message.rawHeaders.entries()) {
    if (at % 2 === 0 && !name.startsWith(':'))
      headers.append(name, message.rawHeaders[at + 1] ?? '');
  }
  const hasBody = method !== 'GET' && method !== 'HEAD';
  try {
    // Only its path: an absolute one, or `//elsewhere/`, would name another host than the header does.
    const path = (message.originalUrl ?? message.url ?? '/').replace(/^[a-z]+:\/\/[^/]*/i, '');
    const url = new URL(`${scheme}://${host}`);
    const [pathname = '/', query = ''] = path.split('?', 2);
    url.pathname = pathname;
    url.search = query;
    const init: RequestInit = { method, headers, signal };
    if (!hasBody) return new Request(url, init);
    return new Request(url, { ...init, ...bodyOf(message, headers), duplex: 'half' });
  } catch (error) {
    throw new BadRequest('', { cause: error });
  }
}

function bodyOf(
  message: FrameworkRequest,
  headers: Headers,
): { body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | string } {
  const { body } = message;
  if (body === undefined || body === null || !message.readableEnded) {
    return { body: Readable.toWeb(message) as ReadableStream<Uint8Array> };
  }
  if (typeof body === 'string' || body instanceof Uint8Array) {
    return { body: body as string | Uint8Array<ArrayBuffer> };
  }
  headers.set('content-type', 'application/json');
  headers.delete('content-length');
  return { body: JSON.stringify(body) };
}

/** Writes an answer, no faster than it is taken. */
async function send(answer: Response, response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (gone.aborted || response.headersSent) return void (await answer.body?.cancel());
  const headers: Record<string, string | string[]> = Object.fromEntries(answer.headers);
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  response.writeHead(answer.status, headers);
  if (answer.body === null) return void response.end();
  if (answer.headers.get('content-type')?.startsWith('text/event-stream')) keepNobody(response);
  const reader = answer.body.getReader();
  const leave = () => void reader.cancel().catch(() => undefined);
  gone.addEventListener('abort', leave, { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    if (done || gone.aborted) break;
    if (!response.write(value)) await drained(response, gone);
  }
  response.end();
}

/** A stream without end is no reason for a host to go on, nor is a client that takes nothing. */
function keepNobody(response: ServerResponse): void {
  const { socket } = response;
  response.flushHeaders();
  response.setTimeout(STALLED_MS, () => response.destroy());
  socket?.unref();
  response.once('close', () => socket?.ref());
}

function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      gone.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    gone.addEventListener('abort', done, { once: true });
    if (gone.aborted) done();
  });
}

const FORWARDED =
  /^(?:forwarded|via|x-forwarded-.*|x-real-ip|x-client-ip|cf-connecting-ip|true-client-ip)$/;

/** Both ends on this machine, by the address and by the name that was asked for, and nobody in between. */
function isOfLoopback({ socket, headers }: IncomingMessage): boolean {
  if (!isLoopbackAddress(socket.remoteAddress ?? '')) return false;
  if (Object.keys(headers).some((name) => FORWARDED.test(name))) return false;
  // A page of elsewhere may show ours, but not read it with a request of its own.
  const site = headers['sec-fetch-site'];
  const isElsewhere = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (isElsewhere && headers['sec-fetch-mode'] !== 'navigate') return false;
  // By its name, a page of elsewhere can make a browser come here (DNS rebinding).
  const host = /^(\[[\da-f:.]+\]|[^:]*)(?::\d+)?$/i.exec(headers.host ?? '')?.[1] ?? '';
  return host.toLowerCase() === 'localhost' || isLoopbackAddress(host.replace(/^\[|\]$/g, ''));
}

function isLoopbackAddress(text: string): boolean {
  const address = text.toLowerCase().replace(/^::ffff:/, '');
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}
