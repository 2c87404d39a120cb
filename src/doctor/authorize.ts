import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../os/clock.ts';
import type { CheckedHandlerOptions } from './options.ts';

/** By what a request got in. Only `bearer` is something that no browser sends by itself. */
export type Admission = 'bearer' | 'cookie' | 'authorize' | 'waived';

const COOKIE = 'agent_supervisor_doctor';
const LOGIN_MS = 12 * 3_600_000;

/** Requests whose token is waived: known by object, as anything in a request could be sent by anyone. */
const waived = new WeakSet<Request>();

/** Lets a request in without a token; for who has seen its socket. */
export function waiveToken(request: Request): void {
  waived.add(request);
}

/** Decides who may see the page, and what they may do. */
export class Gate {
  readonly #options: CheckedHandlerOptions;
  readonly #clock: Clock;
  /** Of this handler only: with it, every login ends. */
  readonly #key = randomBytes(32);
  /** What a form must send back: only who has read the page knows it. */
  readonly formToken = this.#sign('form');

  constructor(options: CheckedHandlerOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  get hasLogin(): boolean {
    return this.#options.token !== undefined;
  }

  /** By what a request gets in; `undefined` if by nothing. A wrong token counts, whatever else is right. */
  async admit(request: Request): Promise<Admission | undefined> {
    const bearer = /^bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    if (bearer !== undefined && this.isToken(bearer.trim())) return 'bearer';
    const isAuthorized = (await this.#options.authorize?.(request)) === true;
    if (isAuthorized) return 'authorize';
    if (bearer !== undefined) return undefined;
    if (this.#hasLoggedIn(request)) return 'cookie';
    return waived.has(request) ? 'waived' : undefined;
  }

  /** Why a request may change nothing; `undefined` if it may. */
  whyNot(request: Request, by: Admission | undefined, formToken?: string): string | undefined {
    if (by === 'bearer' && comesFromNoPage(request)) return undefined;
    if (!isSameOrigin(request)) {
      return 'Only the page itself may ask for this: the request comes from another origin, or does not say from which. A proxy in between must pass on the Host header.';
    }
    // To log in takes a token anyway.
    if (by === undefined || by === 'bearer' || this.#isFormToken(formToken)) return undefined;
    return 'The form is not of this page, or of before the host was started again. Load the page again.';
  }

  isToken(text: string): boolean {
    const { token } = this.#options;
    return token !== undefined && this.#isSame(text, token);
  }

  /** The cookie of who has logged in: nothing in it tells the token. */
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
      const isOurs = this.#isSame(signature, this.#sign(`login ${until}`));
      return isOurs && Number(until) > this.#clock.now();
    });
  }

  #isFormToken(text = ''): boolean {
    return this.#isSame(text, this.formToken);
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }

  /** In the same time for every text: what is compared has always the same length. */
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
  // Behind a proxy that speaks TLS for us, only the browser knows; it says so in Origin.
  const isSecure = [request.url, request.headers.get('origin') ?? ''].some((url) =>
    url.startsWith('https:'),
  );
  const scope = `Path=${path.replaceAll(';', '%3B')}; Max-Age=${maxAge}`;
  return `${COOKIE}=${value}; ${scope}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
}

/** No browser sends a request of a page without saying so. */
function comesFromNoPage({ headers }: Request): boolean {
  return headers.get('origin') === null && headers.get('sec-fetch-site') === null;
}

/**
 * Whether a page of this very origin has sent it. A browser that says so itself may be behind a proxy
 * that speaks TLS for us, so that the schemes differ.
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
