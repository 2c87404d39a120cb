import { safeJson } from '../inspect/safe-json.ts';
import type { HttpError } from './http-error.ts';
import { loginPage, problemPage } from './page.ts';
import type { RoutedRequest } from './routing.ts';

/** Headers of every response. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // With no-referrer, browsers would send the page's own forms with the origin "null".
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

interface ResponseOptions {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Makes a response with the headers that all responses have. */
export function respond(
  body: string | ReadableStream<Uint8Array> | null,
  contentType: string,
  { status = 200, headers = {} }: ResponseOptions = {},
): Response {
  return new Response(body, {
    status,
    headers: { ...HEADERS, 'content-type': contentType, ...headers },
  });
}

export function htmlResponse(text: string, options?: ResponseOptions): Response {
  return respond(text, 'text/html; charset=utf-8', options);
}

export function jsonResponse(value: unknown, options?: ResponseOptions): Response {
  return respond(`${safeJson(value)}\n`, 'application/json', options);
}

/** Redirects after a POST, with status 303. */
export function redirect(
  location: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return respond(null, 'text/plain', { status: 303, headers: { location, ...headers } });
}

/** Shows an error to browsers as a page, and to other clients as JSON. */
export function errorResponse(
  { status, message, headers: own }: HttpError,
  { wantsHtml, base, route }: Pick<RoutedRequest, 'wantsHtml' | 'base' | 'route'>,
  hasLogin: boolean,
): Response {
  const headers = status === 401 ? { 'www-authenticate': 'Bearer', ...own } : own;
  if (!wantsHtml) return jsonResponse({ error: message }, { status, headers });
  const text =
    status === 401 && hasLogin
      ? loginPage(base, route === 'login' ? message : undefined)
      : problemPage(base, TITLES[status] ?? 'Failed', message);
  return htmlResponse(text, { status, headers });
}
