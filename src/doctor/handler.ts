import type { EndReport, Supervisor } from '../index.ts';
import { doctor } from '../inspect/doctor.ts';
import { publicText } from '../inspect/public-text.ts';
import type { DoctorReport } from '../inspect/report.ts';
import { secretValues } from '../process/redaction.ts';
import { internalsOf, type SupervisorInternals } from '../supervisor/internals.ts';
import { answer, backTo, json, page, Refusal, refuse } from './answers.ts';
import { icon, liveScript, liveStyle } from './assets.ts';
import { type Admission, Gate } from './authorize.ts';
import { EventStreams } from './event-stream.ts';
import { checkHandlerOptions, type DoctorHandlerOptions } from './options.ts';
import { confirmPage, reportPage } from './page.ts';
import type { Deed } from './parts.ts';
import { PROMETHEUS_TYPE, prometheusText } from './prometheus.ts';
import { type Confidential, publicEnd } from './public-event.ts';
import { sharedReport } from './shared-report.ts';
import { type Tally, tallyOf } from './tally.ts';
import { assertRoute, type Fields, fieldsOf, type Visit, visitOf } from './visit.ts';
import { endOf, reapOf, STOP } from './work.ts';

/** Answers a Web-standard request about a supervisor; mountable at any prefix. */
export type DoctorHandler = (request: Request) => Promise<Response>;

/**
 * Makes a handler that shows a supervisor as JSON, as a stream of its events, as Prometheus text and, to
 * browsers, as a live page that can reap, end and stop. Starts nothing, and reads nothing before it is asked.
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
  const desk = new Desk(supervisor, options);
  return (request) => desk.answer(request);
}

const MAX_SESSION_LENGTH = 1024;
const REASON = "asked for on the doctor's page";

/** One handler: who may come in, and what each address answers. */
class Desk {
  readonly #supervisor: Supervisor;
  readonly #internals: SupervisorInternals;
  readonly #gate: Gate;
  readonly #streams: EventStreams;
  readonly #report: () => Promise<DoctorReport>;
  readonly #tally: Tally;

  constructor(supervisor: Supervisor, options: DoctorHandlerOptions | undefined) {
    const checked = checkHandlerOptions(options);
    this.#supervisor = supervisor;
    this.#internals = internalsOf(supervisor, 'doctorHandler');
    const { clock } = this.#internals.os;
    this.#gate = new Gate(checked, clock);
    this.#streams = new EventStreams({
      supervisor,
      clock,
      maxStreams: checked.maxStreams,
      confidential: () => this.#confidential(),
    });
    this.#report = sharedReport(() => doctor(supervisor), clock);
    this.#tally = tallyOf(supervisor);
  }

  async answer(request: Request): Promise<Response> {
    const visit = visitOf(request);
    try {
      const response = await this.#answer(visit);
      return request.method === 'HEAD' ? new Response(null, response) : response;
    } catch (error) {
      if (error instanceof Refusal) return refuse(error, visit, this.#gate.hasLogin);
      this.#internals.warn('DOCTOR', 'A request to the doctor could not be answered.', error);
      const refusal = new Refusal(
        500,
        'This could not be answered; a warning of the supervisor says why.',
      );
      return refuse(refusal, visit, this.#gate.hasLogin);
    }
  }

  async #answer(visit: Visit): Promise<Response> {
    assertRoute(visit);
    const asset = assetOf(visit);
    if (asset !== undefined) return asset;
    if (visit.route === 'login') return this.#logIn(visit);
    const by = await this.#gate.admit(visit.request);
    if (by === undefined) throw this.#unauthorized();
    if (visit.request.method === 'POST') return this.#act(visit, by);
    return this.#show(visit, by);
  }

  #unauthorized(): Refusal {
    const text = this.#gate.hasLogin
      ? 'This takes the token: log in, or send it as "Authorization: Bearer".'
      : 'Nobody gets in here: the host has set no token.';
    return new Refusal(401, text);
  }

  async #show({ request, route, wantsHtml, base }: Visit, by: Admission): Promise<Response> {
    if (route === 'events') return this.#follow(request);
    const report = await this.#report();
    if (route === 'metrics') return answer(prometheusText(report, this.#tally), PROMETHEUS_TYPE);
    if (route === 'report.json' || !wantsHtml) return json(report);
    const { formToken } = this.#gate;
    return page(reportPage(report, { base, formToken, canLogOut: by === 'cookie' }));
  }

  #follow({ method }: Request): Response {
    const type = 'text/event-stream';
    if (method === 'HEAD') return answer(null, type);
    const body = this.#streams.open();
    if (body !== undefined) return answer(body, type, { headers: { 'x-accel-buffering': 'no' } });
    throw new Refusal(503, 'Too many follow the events already; try again later.', {
      'retry-after': '30',
    });
  }

  async #logIn({ request, base, mount, wantsHtml }: Visit): Promise<Response> {
    const why = this.#gate.whyNot(request, undefined);
    if (why !== undefined) throw new Refusal(403, why);
    const { token = '' } = await fieldsOf(request);
    if (!this.#gate.isToken(token)) throw new Refusal(401, 'This is not the token.');
    const headers = { 'set-cookie': this.#gate.loginCookie(request, mount) };
    return wantsHtml ? backTo(base, headers) : answer('{}\n', 'application/json', { headers });
  }

  async #act(visit: Visit, by: Admission): Promise<Response> {
    const { request, route, base, mount, wantsHtml } = visit;
    const fields = await fieldsOf(request);
    const why = this.#gate.whyNot(request, by, fields['form']);
    if (why !== undefined) throw new Refusal(403, why);
    if (route === 'logout') {
      return backTo(base, { 'set-cookie': this.#gate.logoutCookie(request, mount) });
    }
    const { deed, run } = this.#deed(visit, fields);
    if (wantsHtml && fields['confirmed'] !== 'yes') {
      return page(confirmPage(deed, { base, formToken: this.#gate.formToken }));
    }
    const end = await run();
    return wantsHtml ? backTo(base) : json(publicEnd(end, this.#confidential()));
  }

  /** What was asked for, and how to do it; throws 400 or 404 for what there is not. */
  #deed({ route }: Visit, { target = '' }: Fields): { deed: Deed; run(): Promise<EndReport> } {
    if (route === 'stop') {
      return { deed: STOP, run: () => this.#supervisor.stop({ reason: REASON }) };
    }
    if (target === '') throw new Refusal(400, 'The field "target" is missing: whom to end.');
    if (route === 'reap') {
      const session = this.#sessionOf(target);
      if (session === undefined) throw new Refusal(404, 'There is no such session.');
      const run = () => this.#supervisor.reapSession(session, { reason: REASON });
      return { deed: reapOf(target), run };
    }
    const process = this.#internals.live.get(target);
    if (process === undefined) {
      throw new Refusal(404, 'There is no such process of this host, or it has ended.');
    }
    return {
      deed: endOf(process.record),
      run: () => process.terminate({ reason: REASON }),
    };
  }

  /** The session with this id, or the one that the page shows by this name. */
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

  /** What no text may show: what the host's own environment holds secret, and the folders at hand. */
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

/** A text as a browser sends back what a form was given. */
function sent(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd').replace(/\r\n?/g, '\n');
}

/** The page's own files: the same for everyone, and no secret in them. */
function assetOf({ route }: Visit): Response | undefined {
  switch (route) {
    case 'live.js':
      return answer(liveScript(), 'text/javascript; charset=utf-8');
    case 'live.css':
      return answer(liveStyle(), 'text/css; charset=utf-8');
    case 'icon.svg':
      return answer(icon(), 'image/svg+xml');
    default:
      return undefined;
  }
}
