import { type Html, type HtmlPart, html } from './html.ts';

/** What a part of the page has to know besides the report. */
export interface PageContext {
  /** What a relative link begins with: `./`, or the last part of an address without a slash at its end. */
  readonly base: string;
  /** What a form has to send back. */
  readonly formToken: string;
}

/** A word with a colour; which one, the style sheet says. */
export function badge(word: string): Html {
  return html`<span class="badge" data-is="${word}">${word}</span>`;
}

export interface Column<T> {
  readonly label: string;
  readonly is?: 'number' | 'deed';
  show(item: T): HtmlPart;
}

/**
 * A table whose first column names the row. The roles are written out: on a narrow screen a row is shown
 * as a card, and would be no row any more.
 */
export function table<T>(
  caption: string,
  columns: readonly Column<T>[],
  items: readonly T[],
  keyOf: (item: T) => string,
): Html {
  return html`<table role="table">
<caption>${caption}</caption>
<thead role="rowgroup"><tr role="row">${columns.map(
    ({ label, is }) => html`<th role="columnheader" scope="col"${classOf(is)}>${label}</th>`,
  )}</tr></thead>
<tbody role="rowgroup">${items.map(
    (
      item,
    ) => html`<tr role="row" data-key="${keyOf(item)}">${columns.map((column, at) => cell(column, item, at))}</tr>
`,
  )}</tbody>
</table>`;
}

const classOf = (is: string | undefined): HtmlPart => is !== undefined && html` class="${is}"`;

function cell<T>({ label, is, show }: Column<T>, item: T, at: number): Html {
  if (at === 0) return html`<th role="rowheader" scope="row">${show(item)}</th>`;
  return html`<td role="cell" data-label="${label}"${classOf(is)}>${show(item)}</td>`;
}

/** One part of the page under a heading of its own. */
export function section(id: string, title: string, ...body: readonly HtmlPart[]): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>
${body}
</section>`;
}

export function empty(text: string): Html {
  return html`<p class="empty">${text}</p>`;
}

/** How full something is, with the figures beside it; what is scarce is marked from four fifths on. */
export function gauge(label: string, used: number, limit: number, isScarce = false): Html {
  return html`<meter aria-label="${label}" min="0" max="${limit}"${isScarce && html` high="${limit * 0.8}"`} value="${Math.min(used, limit)}"></meter>`;
}

/** Something that can be done, with the question that is asked before. */
export interface Deed {
  readonly action: 'reap' | 'end' | 'stop';
  /** What it is done to; none for all. */
  readonly target: string;
  readonly label: string;
  /** For those who do not see what is around the button. */
  readonly description: string;
  readonly question: string;
}

export function deedForm(deed: Deed, { base, formToken }: PageContext, isConfirmed = false): Html {
  const { action, target, label, description, question } = deed;
  return html`<form method="post" action="${base}${action}" data-question="${question}">
<input type="hidden" name="form" value="${formToken}"><input type="hidden" name="target" value="${target}">${
    isConfirmed && html`<input type="hidden" name="confirmed" value="yes">`
  }
<button class="danger" aria-label="${description}">${label}</button></form>`;
}
