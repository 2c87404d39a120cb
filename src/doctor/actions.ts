import type { ProcessHealth } from '../inspect/report.ts';
import { type Html, html } from './html.ts';
import type { PageContext } from './parts.ts';

/** An action that the page offers, with the question that it asks first. */
export interface Action {
  readonly route: 'reap' | 'end' | 'stop';
  /** The id of a process or a session; empty for all processes. */
  readonly target: string;
  readonly label: string;
  /** The button's name in full, for screen readers. */
  readonly description: string;
  readonly question: string;
}

export function endAction(process: Pick<ProcessHealth, 'id' | 'command' | 'pid'>): Action {
  const name = `${process.command} (pid ${process.pid})`;
  return {
    route: 'end',
    target: process.id,
    label: 'End',
    description: `End ${name}`,
    question: `End ${name} with all that it has started?`,
  };
}

export function reapAction(sessionId: string): Action {
  return {
    route: 'reap',
    target: sessionId,
    label: 'Reap',
    description: `Reap session ${sessionId}`,
    question: `End every process of session ${sessionId}, and refuse what waits for it?`,
  };
}

export const STOP_ACTION: Action = {
  route: 'stop',
  target: '',
  label: 'Stop all',
  description: 'Stop all processes',
  question: 'End every process of this host, refuse what waits, and start nothing more?',
};

export function actionForm(
  action: Action,
  { base, formToken }: PageContext,
  isConfirmed = false,
): Html {
  const { route, target, label, description, question } = action;
  return html`<form method="post" action="${base}${route}" data-question="${question}">
<input type="hidden" name="form" value="${formToken}"><input type="hidden" name="target" value="${target}">${
    isConfirmed && html`<input type="hidden" name="confirmed" value="yes">`
  }
<button class="danger" aria-label="${description}">${label}</button></form>`;
}
