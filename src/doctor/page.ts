import type { DoctorReport } from '../inspect/report.ts';
import { type Action, actionForm, STOP_ACTION } from './actions.ts';
import { type Html, type HtmlPart, html } from './html.ts';
import type { PageContext } from './parts.ts';
import { processes, sessions } from './processes-and-sessions.ts';
import { EVENT_NAMES } from './public-event.ts';
import {
  checks,
  ends,
  environment,
  figures,
  machineSlots,
  owners,
  queue,
  services,
  stateDir,
} from './sections.ts';

interface LivePage extends PageContext {
  readonly canLogOut: boolean;
}

/** Renders the whole page, readable without JavaScript; live.js keeps it up to date. */
export function reportPage(report: DoctorReport, context: LivePage): string {
  const { base, canLogOut, formToken } = context;
  const { host } = report;
  const isOpen = report.supervisor !== null && report.supervisor.state !== 'stopped';
  const stamp = new Date(report.at).toISOString();
  return frame(
    { title: `Supervisor of ${host.machine}, pid ${host.pid}`, base, isLive: true },
    html`<header>
<div><h1>Agent supervisor</h1>
<p id="about">${host.machine}, pid ${host.pid}, ${host.platform}-${host.arch}, ${host.runtime} ${host.runtimeVersion}, agent-supervisor ${host.packageVersion}</p></div>
<p id="as-of"><span id="live" data-is="static">as of</span> <time datetime="${stamp}">${stamp.slice(11, 19)} UTC</time></p>
<nav aria-label="Report"><a href="${base}report.json">JSON</a> <a href="${base}metrics">Metrics</a>${
      canLogOut &&
      html`<form method="post" action="${base}logout"><input type="hidden" name="form" value="${formToken}"><button>Log out</button></form>`
    }${isOpen && actionForm(STOP_ACTION, context)}</nav>
</header>
<main>
${checks(report)}
${figures(report)}
${processes(report, context)}
${queue(report)}
${machineSlots(report)}
${sessions(report, context)}
${services(report)}
${ends(report)}
<div class="columns">${[stateDir(report), owners(report), environment(report)]}</div>
</main>
<p id="said" role="status"></p>
<dialog id="confirm" aria-labelledby="question"><form method="dialog"><p id="question"></p>
<p class="buttons"><button value="no" autofocus>Cancel</button> <button value="yes" class="danger">Yes</button></p></form></dialog>`,
  );
}

/** Renders the form that asks for the token. */
export function loginPage(base: string, refusal: string | undefined): string {
  return frame(
    { title: 'Log in', base },
    html`<main class="narrow"><h1>Agent supervisor</h1>
${
  refusal === undefined
    ? html`<p class="note">Enter the token that the host has set.</p>`
    : html`<p class="banner" data-is="fail" role="alert">${refusal}</p>`
}
<form method="post" action="${base}login"><p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button>Log in</button></p></form></main>`,
  );
}

/** Renders the question before an action, for browsers without JavaScript. */
export function confirmPage(action: Action, context: PageContext): string {
  return frame(
    { title: action.description, base: context.base },
    html`<main class="narrow"><h1>${action.description}</h1><p>${action.question}</p>
<div class="buttons"><a class="button" href="${context.base}">Cancel</a> ${actionForm(action, context, true)}</div></main>`,
  );
}

/** Renders an error as a page. */
export function problemPage(base: string, title: string, text: string): string {
  return frame(
    { title, base },
    html`<main class="narrow"><h1>${title}</h1><p>${text}</p><p><a href="${base}">To the page</a></p></main>`,
  );
}

interface Frame {
  readonly title: string;
  readonly base: string;
  readonly isLive?: boolean;
}

function frame({ title, base, isLive = false }: Frame, body: HtmlPart): string {
  const page: Html = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${base}icon.svg">
<link rel="stylesheet" href="${base}live.css">
${isLive && html`<script src="${base}live.js" defer></script>`}
</head>
<body data-base="${base}"${isLive && html` data-events="${EVENT_NAMES.join(' ')}"`}>
${body}
</body>
</html>
`;
  return page.text;
}
