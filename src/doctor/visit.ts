import { Refusal } from './answers.ts';

/** What has an address of its own below the page's. */
export const ROUTES = {
  'report.json': 'GET',
  metrics: 'GET',
  events: 'GET',
  'live.js': 'GET',
  'live.css': 'GET',
  'icon.svg': 'GET',
  login: 'POST',
  logout: 'POST',
  reap: 'POST',
  end: 'POST',
  stop: 'POST',
} as const;

export type Route = keyof typeof ROUTES | 'page';

/** One request, and where it goes: wherever the page is mounted, the last part of its path tells. */
export interface Visit {
  readonly request: Request;
  readonly route: Route;
  readonly wantsHtml: boolean;
  /** What a relative link begins with, whatever a proxy has made of the path. */
  readonly base: string;
  /** Where the page is, without a slash at its end; `/` for the root. */
  readonly mount: string;
}

export function visitOf(request: Request): Visit {
  const { pathname } = new URL(request.url);
  const slash = pathname.lastIndexOf('/');
  const last = pathname.slice(slash + 1);
  const route = isRoute(last) ? last : 'page';
  const isBelow = route !== 'page' || last === '';
  return {
    request,
    route,
    wantsHtml: (request.headers.get('accept') ?? '').includes('text/html'),
    // Behind `./` a name such as `https:elsewhere` is a name, and no scheme.
    base: isBelow ? './' : `./${last}/`,
    mount: (isBelow ? pathname.slice(0, slash) : pathname) || '/',
  };
}

function isRoute(name: string): name is keyof typeof ROUTES {
  return Object.hasOwn(ROUTES, name);
}

/** @throws Refusal 404 or 405 */
export function assertRoute({ request, route, mount }: Visit): void {
  const wanted = route === 'page' ? 'GET' : ROUTES[route];
  const { method } = request;
  // Nobody mounts a page at a file's name; /favicon.ico is asked for by every browser.
  if (route === 'page' && /\.\w+$/.test(mount)) {
    throw new Refusal(404, 'There is nothing at this address.');
  }
  if (method === wanted || (wanted === 'GET' && method === 'HEAD')) return;
  const allow = wanted === 'GET' ? 'GET, HEAD' : wanted;
  throw new Refusal(405, `This address answers to ${allow} only.`, { allow });
}

const MAX_BODY_BYTES = 16 * 1024;

export type Fields = Readonly<Record<string, string | undefined>>;

/**
 * Reads a form, or the same fields as JSON.
 *
 * @throws Refusal 400 or 413
 */
export async function fieldsOf(request: Request): Promise<Fields> {
  const text = await limitedText(request);
  const isJson = request.headers.get('content-type')?.startsWith('application/json') === true;
  try {
    const pairs = isJson && text !== '' ? Object.entries(JSON.parse(text) as object) : null;
    const all = pairs ?? [...new URLSearchParams(text)];
    return Object.fromEntries(all.filter(([, value]) => typeof value === 'string'));
  } catch {
    throw new Refusal(400, 'The body is neither a form nor JSON.');
  }
}

async function limitedText({ body }: Request): Promise<string> {
  if (body === null) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) throw new Refusal(413, 'The body is too long.');
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
