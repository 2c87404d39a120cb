import { HttpError } from './http-error.ts';

/** The routes below the page's own address, with their methods. */
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

/** A request with its route. The last path segment decides, so the page can be mounted anywhere. */
export interface RoutedRequest {
  readonly request: Request;
  readonly route: Route;
  readonly wantsHtml: boolean;
  /** Prefix of relative links; they work behind a proxy that rewrites paths, too. */
  readonly base: string;
  /** Path of the page, without a final slash; `/` for the root. */
  readonly mount: string;
}

export function routeRequest(request: Request): RoutedRequest {
  const { pathname } = new URL(request.url);
  const slash = pathname.lastIndexOf('/');
  const last = pathname.slice(slash + 1);
  const route = isRoute(last) ? last : 'page';
  const isBelow = route !== 'page' || last === '';
  return {
    request,
    route,
    wantsHtml: (request.headers.get('accept') ?? '').includes('text/html'),
    // Without `./`, a name such as `https:elsewhere` would be read as a scheme.
    base: isBelow ? './' : `./${last}/`,
    mount: (isBelow ? pathname.slice(0, slash) : pathname) || '/',
  };
}

function isRoute(name: string): name is keyof typeof ROUTES {
  return Object.hasOwn(ROUTES, name);
}

/** @throws HttpError 404 or 405 */
export function assertRoute({ request, route, mount }: RoutedRequest): void {
  const wanted = route === 'page' ? 'GET' : ROUTES[route];
  const { method } = request;
  // Browsers ask for /favicon.ico by themselves, and no page is mounted at a file name.
  if (route === 'page' && /\.\w+$/.test(mount)) {
    throw new HttpError(404, 'There is nothing at this address.');
  }
  if (method === wanted || (wanted === 'GET' && method === 'HEAD')) return;
  const allow = wanted === 'GET' ? 'GET, HEAD' : wanted;
  throw new HttpError(405, `This address answers to ${allow} only.`, { allow });
}

const MAX_BODY_BYTES = 16 * 1024;

export type Fields = Readonly<Record<string, string | undefined>>;

/**
 * Reads a form, or the same fields as JSON.
 *
 * @throws HttpError 400 or 413
 */
export async function fieldsOf(request: Request): Promise<Fields> {
  const text = await limitedText(request);
  const isJson = request.headers.get('content-type')?.startsWith('application/json') === true;
  try {
    const pairs = isJson && text !== '' ? Object.entries(JSON.parse(text) as object) : null;
    const all = pairs ?? [...new URLSearchParams(text)];
    return Object.fromEntries(all.filter(([, value]) => typeof value === 'string'));
  } catch {
    throw new HttpError(400, 'The body is neither a form nor JSON.');
  }
}

async function limitedText({ body }: Request): Promise<string> {
  if (body === null) return '';
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) throw new HttpError(413, 'The body is too long.');
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
