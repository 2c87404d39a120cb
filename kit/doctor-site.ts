// A doctor's page on a real HTTP server of 127.0.0.1, and a client for it.
import { once } from 'node:events';
import { createServer, request as httpRequest, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export const TOKEN = 'the-token-of-these-tests';
export const MOUNT = '/api/admin/doctor';

export interface Site {
  readonly server: Server;
  readonly port: number;
  readonly origin: string;
  readonly url: string;
  close(): Promise<void>;
}

/** Serves on a free port of 127.0.0.1. */
export async function serve(listener: RequestListener): Promise<Site> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return {
    server,
    port,
    origin,
    url: `${origin}${MOUNT}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Readonly<Record<string, string>>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Sends a request with exactly these headers; `fetch` would add some and refuse others. */
export function ask(url: string, { method = 'GET', headers = {}, body }: Asking = {}) {
  const isForm = typeof body === 'object';
  const text = isForm ? new URLSearchParams(body).toString() : body;
  const type = isForm ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
  return new Promise<Answered>((resolve, reject) => {
    const request = httpRequest(url, { method, headers: { ...type, ...headers }, agent: false });
    request.on('error', reject);
    request.on('response', (response) => {
      response.on('error', reject);
      response.toArray().then((chunks) => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, text: Buffer.concat(chunks).toString() });
      }, reject);
    });
    request.end(text);
  });
}

export const bearer = (token = TOKEN) => ({ authorization: `Bearer ${token}` });
export const HTML = { accept: 'text/html' };

/** Finds the CSRF token in a page's forms. */
export function formTokenIn(page: string): string {
  const found = /name="form" value="([^"]+)"/.exec(page)?.[1];
  if (found === undefined) throw new Error(`there is no form in ${page}`);
  return found;
}

/** One event of a stream of server-sent events. */
export interface StreamedEvent {
  readonly id: string | undefined;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever a test looks for is in it.
  readonly data: any;
}

/** Reads a stream of server-sent events until it ends, or the loop is left. */
export async function* eventsOf(
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<StreamedEvent> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of body ?? []) {
    const frames = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = frames.pop() ?? '';
    for (const frame of frames) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(frame)?.[1];
      const event = field('event');
      if (event === undefined) continue;
      yield { id: field('id'), event, data: JSON.parse(field('data') ?? 'null') };
    }
  }
}
