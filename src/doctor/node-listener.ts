import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { waiveToken } from './auth.ts';

/** A request handler of the Web standard, as Hono, Next.js, Bun and Deno use it. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

export interface NodeListenerOptions {
  /**
   * Lets requests in without a token when they come from this machine. The socket and the Host header
   * must be loopback addresses, and no header may show a proxy. Any user of the machine can then see and
   * end all processes: leave it off on shared machines, and behind a proxy that adds no headers.
   * @default false
   */
  waiveTokenOnLoopback?: boolean | undefined;
}

/** A request listener for `node:http`, Express, and Fastify's raw request and response. */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => void;

const listenerArguments = z.object({
  handler: z.custom((value) => typeof value === 'function', { error: 'must be a function' }),
  options: z.prefault(z.strictObject({ waiveTokenOnLoopback: z._default(z.boolean(), false) }), {}),
});

/** Longer than the time between heartbeats: a client that reads nothing for so long is gone. */
const STALLED_MS = 60_000;

/**
 * Turns a Web-standard request handler into a listener for `node:http`.
 *
 * It also works behind a framework that has parsed the body or stripped a path prefix.
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
        // The message of the error stays here: it may hold a path or a secret.
        const status = error instanceof BadRequest ? 400 : 500;
        const text = status === 400 ? 'The request is invalid.' : 'The handler failed.';
        answer = Response.json({ error: text }, { status });
      }
      await send(answer, response, gone.signal);
    })().catch(() => response.destroy());
  };
}

class BadRequest extends Error {}

interface FrameworkRequest extends IncomingMessage {
  /** The URL before an Express router stripped its prefix. */
  readonly originalUrl?: string;
  /** The body, if the framework has parsed it already. */
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
    // The path only: an absolute URL, or `//elsewhere/`, would name another host than the header does.
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

/** Writes a response, with backpressure. */
async function send(answer: Response, response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (gone.aborted || response.headersSent) return void (await answer.body?.cancel());
  const headers: Record<string, string | string[]> = Object.fromEntries(answer.headers);
  const cookies = answer.headers.getSetCookie();
  if (cookies.length > 0) headers['set-cookie'] = cookies;
  response.writeHead(answer.status, headers);
  if (answer.body === null) return void response.end();
  if (answer.headers.get('content-type')?.startsWith('text/event-stream')) unrefStream(response);
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

/** Keeps an endless stream from holding its host alive, and drops a client that has stalled. */
function unrefStream(response: ServerResponse): void {
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

/** Checks that the client is on this machine, asked for a loopback name, and used no proxy. */
function isOfLoopback({ socket, headers }: IncomingMessage): boolean {
  if (!isLoopbackAddress(socket.remoteAddress ?? '')) return false;
  if (Object.keys(headers).some((name) => FORWARDED.test(name))) return false;
  // Another site's page may link here, but its scripts may not read the answer.
  const site = headers['sec-fetch-site'];
  const isElsewhere = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (isElsewhere && headers['sec-fetch-mode'] !== 'navigate') return false;
  // Another site's name may resolve to this address (DNS rebinding).
  const host = /^(\[[\da-f:.]+\]|[^:]*)(?::\d+)?$/i.exec(headers.host ?? '')?.[1] ?? '';
  return host.toLowerCase() === 'localhost' || isLoopbackAddress(host.replace(/^\[|\]$/g, ''));
}

function isLoopbackAddress(text: string): boolean {
  const address = text.toLowerCase().replace(/^::ffff:/, '');
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}
