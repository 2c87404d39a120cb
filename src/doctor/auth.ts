import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../os/clock.ts';
import type { CheckedHandlerOptions } from './options.ts';

/** The way a request was authenticated. Browsers send all but `bearer` by themselves. */
export type AuthMethod = 'bearer' | 'cookie' | 'authorize' | 'waived';

const COOKIE = 'agent_supervisor_doctor';
const LOGIN_MS = 12 * 3_600_000;

/** Requests that need no token. Kept by object, because any client can forge a header. */
const waived = new WeakSet<Request>();

/** Lets a request in without a token. Only for callers that have checked its socket. */
export function waiveToken(request: Request): void {
  waived.add(request);
}

/** Authenticates requests, and protects actions from forged ones (CSRF). */
export class Auth {
  readonly #options: CheckedHandlerOptions;
  readonly #clock: Clock;
  /** Signs cookies and the form token. Made anew for each handler, so logins end with the host. */
  readonly #key = randomBytes(32);
  /** The CSRF token of the page's forms: only a reader of the page knows it. */
  readonly formToken = this.#sign('form');

  constructor(options: CheckedHandlerOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  get hasLogin(): boolean {
    return this.#options.token !== undefined;
  }

  /** Authenticates a request; `undefined` refuses it. A wrong token refuses it even beside a valid cookie. */
  async authenticate(request: Request): Promise<AuthMethod | undefined> {
    const bearer = /^bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    if (bearer !== undefined && this.isToken(bearer.trim())) return 'bearer';
    const isAuthorized = (await this.#options.authorize?.(request)) === true;
    if (isAuthorized) return 'authorize';
    if (bearer !== undefined) return undefined;
    if (this.#hasLoggedIn(request)) return 'cookie';
    return waived.has(request) ? 'waived' : undefined;
  }

  /** Returns why a request may be forged, or `undefined`. `method` is `undefined` for a login. */
  forgeryReason(
    request: Request,
    method: AuthMethod | undefined,
    formToken?: string,
  ): string | undefined {
    if (method === 'bearer' && comesFromNoPage(request)) return undefined;
    if (!isSameOrigin(request)) {
      return 'Only the page itself may ask for this: the request comes from another origin, or does not say from which. A proxy in between must pass on the Host header.';
    }
    // A login needs no form token: it carries the token itself.
    if (method === undefined || method === 'bearer' || this.#isFormToken(formToken))
      return undefined;
    return 'The form is not from this page, or it is from before a restart of the host. Load the page again.';
  }

  isToken(text: string): boolean {
    const { token } = this.#options;
    return token !== undefined && this.#isSame(text, token);
  }

  /** Makes the cookie of a login. It holds an expiry and a signature, not the token. */
  loginCookie(request: Request, path: string): string {
    const until = String(this.#clock.now() + LOGIN_MS);
    return cookie(`${until}.${this.#sign(`login ${until}`)}`, LOGIN_MS / 1000, request, path);
  }

  logoutCookie(request: Request, path: string): string {
    return cookie('', 0, request, path);
  }

  #hasLoggedIn(request: Request): boolean {
    if (!this.hasLogin) return false;
    return cookiesOf(request).some((value) => {
      const [until = '', signature = ''] = value.split('.');
      const isSigned = this.#isSame(signature, this.#sign(`login ${until}`));
      return isSigned && Number(until) > this.#clock.now();
    });
  }

  #isFormToken(text = ''): boolean {
    return this.#isSame(text, this.formToken);
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }

  /** Compares in constant time: the digests have the same length for every text. */
  #isSame(one: string, other: string): boolean {
    const digest = (text: string) => createHmac('sha256', this.#key).update(text).digest();
    return timingSafeEqual(digest(one), digest(other));
  }
}

function cookiesOf(request: Request): string[] {
  const cookies = (request.headers.get('cookie') ?? '').split(';');
  return cookies.flatMap((text) => {
    const [name, value = ''] = text.trim().split('=');
    return name === COOKIE ? [value] : [];
  });
}

function cookie(value: string, maxAge: number, request: Request, path: string): string {
  // Behind a proxy that ends TLS, only the Origin header shows that the browser uses https.
  const isSecure = [request.url, request.headers.get('origin') ?? ''].some((url) =>
    url.startsWith('https:'),
  );
  const scope = `Path=${path.replaceAll(';', '%3B')}; Max-Age=${maxAge}`;
  return `${COOKIE}=${value}; ${scope}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
}

/** Browsers mark every request of a page with one of these headers. */
function comesFromNoPage({ headers }: Request): boolean {
  return headers.get('origin') === null && headers.get('sec-fetch-site') === null;
}

/**
 * Checks that a page of this origin has sent the request. Schemes may differ where the browser itself
 * says "same-origin": a proxy in between may end TLS.
 */
function isSameOrigin({ headers, url }: Request): boolean {
  const site = headers.get('sec-fetch-site');
  const origin = headers.get('origin');
  if (site !== null && site !== 'same-origin') return false;
  if (origin === null) return site !== null;
  if (!URL.canParse(origin)) return false;
  const own = new URL(url);
  const sender = new URL(origin);
  return site === null ? sender.origin === own.origin : sender.host === own.host;
}
