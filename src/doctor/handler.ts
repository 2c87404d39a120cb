import type { EndReport, Supervisor } from '../index.ts';
import { doctor } from '../inspect/doctor.ts';
import { publicText } from '../inspect/public-text.ts';
import type { DoctorReport } from '../inspect/report.ts';
import { secretValues } from '../process/redaction.ts';
import { internalsOf, type SupervisorInternals } from '../supervisor/internals.ts';
import { type Action, endAction, reapAction, STOP_ACTION } from './actions.ts';
import { icon, liveScript, liveStyle } from './assets.ts';
import { Auth, type AuthMethod } from './auth.ts';
import { EventStreams } from './event-stream.ts';
import { HttpError } from './http-error.ts';
import { checkHandlerOptions, type DoctorHandlerOptions } from './options.ts';
import { confirmPage, reportPage } from './page.ts';

import { PROMETHEUS_TYPE, prometheusText } from './prometheus.ts';
import { type Confidential, publicEnd } from './public-event.ts';
import { errorResponse, htmlResponse, jsonResponse, redirect, respond } from './responses.ts';
import { assertRoute, type Fields, fieldsOf, type RoutedRequest, routeRequest } from './routing.ts';
import { sharedReport } from './shared-report.ts';
import { type Tally, tallyOf } from './tally.ts';

/** A Web-standard request handler for a supervisor's page, mountable at any path. */
export type DoctorHandler = (request: Request) => Promise<Response>;

/**
 * Makes a request handler that shows a supervisor and can end its processes.
 *
 * It serves a live page for browsers, the report as JSON, the events as a stream, and metrics as
 * Prometheus text. It starts nothing, and reads nothing before the first request.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const handler = doctorHandler(supervisor, { token: process.env.DOCTOR_TOKEN });
 * app.all('/api/admin/doctor{/*path}', toNodeListener(handler)); // Express
 * ```
 */
export function doctorHandler(
  supervisor: Supervisor,
  options?: DoctorHandlerOptions,
): DoctorHandler {
  const handler = new RequestHandler(supervisor, options);
  return (request) => handler.handle(request);
}

const MAX_SESSION_LENGTH = 1024;
const REASON = "asked for on the doctor's page";

/** Authenticates requests, and answers each route. */
class RequestHandler {
  readonly #supervisor: Supervisor;
  readonly #internals: SupervisorInternals;
  readonly #auth: Auth;
  readonly #streams: EventStreams;
  readonly #report: () => Promise<DoctorReport>;
  readonly #tally: Tally;

  constructor(supervisor: Supervisor, options: DoctorHandlerOptions | undefined) {
    const checked = checkHandlerOptions(options);
    this.#supervisor = supervisor;
    this.#internals = internalsOf(supervisor, 'doctorHandler');
    const { clock } = this.#internals.os;
    this.#auth = new Auth(checked, clock);
    this.#streams = new EventStreams({
      supervisor,
      clock,
      maxStreams: checked.maxStreams,
      confidential: () => this.#confidential(),
    });
    this.#report = sharedReport(() => doctor(supervisor), clock);
    this.#tally = tallyOf(supervisor);
  }

  async handle(request: Request): Promise<Response> {
    const routed = routeRequest(request);
    try {
      const response = await this.#answer(routed);
      return request.method === 'HEAD' ? new Response(null, response) : response;
    } catch (error) {
      if (error instanceof HttpError) return errorResponse(error, routed, this.#auth.hasLogin);
      this.#internals.warn('DOCTOR', 'A request to the doctor could not be answered.', error);
      const failure = new HttpError(
        500,
        'This could not be answered; a warning of the supervisor says why.',
      );
      return errorResponse(failure, routed, this.#auth.hasLogin);
    }
  }

  async #answer(routed: RoutedRequest): Promise<Response> {
    assertRoute(routed);
    const asset = assetOf(routed);
    if (asset !== undefined) return asset;
    if (routed.route === 'login') return this.#logIn(routed);
    const authMethod = await this.#auth.authenticate(routed.request);
    if (authMethod === undefined) throw this.#unauthorized();
    if (routed.request.method === 'POST') return this.#act(routed, authMethod);
    return this.#show(routed, authMethod);
  }

  #unauthorized(): HttpError {
    const text = this.#auth.hasLogin
      ? 'This needs the token: log in, or send it as "Authorization: Bearer".'
      : 'No access: the host has set no token.';
    return new HttpError(401, text);
  }

  async #show(
    { request, route, wantsHtml, base }: RoutedRequest,
    authMethod: AuthMethod,
  ): Promise<Response> {
    if (route === 'events') return this.#streamEvents(request);
    const report = await this.#report();
    if (route === 'metrics') return respond(prometheusText(report, this.#tally), PROMETHEUS_TYPE);
    if (route === 'report.json' || !wantsHtml) return jsonResponse(report);
    const { formToken } = this.#auth;
    return htmlResponse(
      reportPage(report, { base, formToken, canLogOut: authMethod === 'cookie' }),
    );
  }

  #streamEvents({ method }: Request): Response {
    const type = 'text/event-stream';
    if (method === 'HEAD') return respond(null, type);
    const body = this.#streams.open();
    if (body !== undefined) return respond(body, type, { headers: { 'x-accel-buffering': 'no' } });
    throw new HttpError(503, 'Too many event streams are open; try again later.', {
      'retry-after': '30',
    });
  }

  async #logIn({ request, base, mount, wantsHtml }: RoutedRequest): Promise<Response> {
    const forgery = this.#auth.forgeryReason(request, undefined);
    if (forgery !== undefined) throw new HttpError(403, forgery);
    const { token = '' } = await fieldsOf(request);
    if (!this.#auth.isToken(token)) throw new HttpError(401, 'Wrong token.');
    const headers = { 'set-cookie': this.#auth.loginCookie(request, mount) };
    return wantsHtml ? redirect(base, headers) : jsonResponse({}, { headers });
  }

  async #act(routed: RoutedRequest, authMethod: AuthMethod): Promise<Response> {
    const { request, route, base, mount, wantsHtml } = routed;
    const fields = await fieldsOf(request);
    const forgery = this.#auth.forgeryReason(request, authMethod, fields['form']);
    if (forgery !== undefined) throw new HttpError(403, forgery);
    if (route === 'logout') {
      return redirect(base, { 'set-cookie': this.#auth.logoutCookie(request, mount) });
    }
    const { action, run } = this.#actionOf(routed, fields);
    if (wantsHtml && fields['confirmed'] !== 'yes') {
      return htmlResponse(confirmPage(action, { base, formToken: this.#auth.formToken }));
    }
    const end = await run();
    return wantsHtml ? redirect(base) : jsonResponse(publicEnd(end, this.#confidential()));
  }

  /** @throws HttpError 400 without a target, 404 for an unknown one */
  #actionOf(
    { route }: RoutedRequest,
    { target = '' }: Fields,
  ): { action: Action; run(): Promise<EndReport> } {
    if (route === 'stop') {
      return { action: STOP_ACTION, run: () => this.#supervisor.stop({ reason: REASON }) };
    }
    if (target === '') throw new HttpError(400, 'The field "target" is missing: whom to end.');
    if (route === 'reap') {
      const session = this.#sessionOf(target);
      if (session === undefined) throw new HttpError(404, 'There is no such session.');
      const run = () => this.#supervisor.reapSession(session, { reason: REASON });
      return { action: reapAction(target), run };
    }
    const process = this.#internals.live.get(target);
    if (process === undefined) {
      throw new HttpError(404, 'There is no such process of this host, or it has ended.');
    }
    return {
      action: endAction(process.record),
      run: () => process.terminate({ reason: REASON }),
    };
  }

  /** Finds a session by its id, or by the redacted id that the page shows. */
  #sessionOf(target: string): string | undefined {
    const { live, os, snapshot } = this.#internals;
    const isId = target.length <= MAX_SESSION_LENGTH;
    if (isId && this.#supervisor.session(target) !== undefined) return target;
    const running = [...live.values()].map(({ record }) => record.sessionId);
    const waiting = snapshot().pool.queue.map(({ request }) => request.sessionId);
    const show = publicText(os);
    const named = new Set([...running, ...waiting]);
    const found = [...named].filter((id) => id !== undefined && sent(show(id)) === sent(target));
    return found.length === 1 ? found[0] : undefined;
  }

  /** Collects the secrets of the host's environment, and its known folders. */
  #confidential(): Confidential {
    const { os, stateDir, live } = this.#internals;
    const defined = Object.entries(os.environment()).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    const environment = Object.fromEntries(defined);
    const home = environment['HOME'] ?? environment['USERPROFILE'] ?? '';
    const folders = () => [stateDir, home, ...[...live.values()].map(({ record }) => record.cwd)];
    return { secrets: secretValues(environment), folders };
  }
}

/** Changes a text as a browser does that sends it back in a form. */
function sent(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd').replace(/\r\n?/g, '\n');
}

/** The page's static files need no login: they hold no secret. */
function assetOf({ route }: RoutedRequest): Response | undefined {
  switch (route) {
    case 'live.js':
      return respond(liveScript(), 'text/javascript; charset=utf-8');
    case 'live.css':
      return respond(liveStyle(), 'text/css; charset=utf-8');
    case 'icon.svg':
      return respond(icon(), 'image/svg+xml');
    default:
      return undefined;
  }
}
