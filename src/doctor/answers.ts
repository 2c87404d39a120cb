import { safeJson } from '../inspect/safe-json.ts';
import { loginPage, problemPage } from './page.ts';

/** On everything, whatever it is. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // With no-referrer, a browser would send our own forms with the origin "null".
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
  vary: 'Accept, Authorization, Cookie',
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Log in',
  403: 'Refused',
  404: 'Not found',
  405: 'Method not allowed',
  413: 'Too much',
  500: 'Failed',
  503: 'Busy',
};

/** What a request wants, and where from its address the links of an answer lead. */
export interface Asker {
  readonly wantsHtml: boolean;
  readonly route: string;
  /** What a relative link begins with. */
  readonly base: string;
}

/** What is wrong with a request, in one sentence. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

export function answer(
  body: string | ReadableStream<Uint8Array> | null,
  contentType: string,
  {
    status = 200,
    headers = {},
  }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Response {
  return new Response(body, {
    status,
    headers: { ...HEADERS, 'content-type': contentType, ...headers },
  });
}

export function page(text: string, status = 200): Response {
  return answer(text, 'text/html; charset=utf-8', { status });
}

export function json(value: unknown, status = 200): Response {
  return answer(`${safeJson(value)}\n`, 'application/json', { status });
}

/** Leads back to the page. */
export function backTo(location: string, headers: Readonly<Record<string, string>> = {}): Response {
  return answer(null, 'text/plain', { status: 303, headers: { location, ...headers } });
}

/** Says what is wrong: to a browser as a page, to everyone else as JSON. */
export function refuse(
  { status, message, headers }: Refusal,
  asker: Asker,
  hasLogin: boolean,
): Response {
  const more = status === 401 ? { 'www-authenticate': 'Bearer', ...headers } : headers;
  if (!asker.wantsHtml) {
    const body = `${safeJson({ error: message })}\n`;
    return answer(body, 'application/json', { status, headers: more });
  }
  const text =
    status === 401 && hasLogin
      ? loginPage(asker.base, asker.route === 'login' ? message : undefined)
      : problemPage(asker.base, TITLES[status] ?? 'Failed', message);
  return answer(text, 'text/html; charset=utf-8', { status, headers: more });
}
