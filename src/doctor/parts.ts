import { type Html, type HtmlPart, html } from './html.ts';

/** Values that a part of the page needs besides the report. */
export interface PageContext {
  /** Prefix of relative links: `./`, or the last path segment of an address without a final slash. */
  readonly base: string;
  /** The CSRF token that each form sends back. */
  readonly formToken: string;
}

/** A word with a colour, which the style sheet chooses by `data-is`. */
export function badge(word: string): Html {
  return html`<span class="badge" data-is="${word}">${word}</span>`;
}

export interface Column<T> {
  readonly label: string;
  readonly is?: 'number' | 'action';
  show(item: T): HtmlPart;
}

/**
 * A table whose first column names the row. Its ARIA roles are explicit, because the style sheet shows
 * rows as cards on narrow screens, and browsers then drop the implicit roles.
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

/** A part of the page with its own heading. */
export function section(id: string, title: string, ...body: readonly HtmlPart[]): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>
${body}
</section>`;
}

export function empty(text: string): Html {
  return html`<p class="empty">${text}</p>`;
}

/** A bar that shows how full something is. A scarce resource is marked from 80 % on. */
export function gauge(label: string, used: number, limit: number, isScarce = false): Html {
  return html`<meter aria-label="${label}" min="0" max="${limit}"${isScarce && html` high="${limit * 0.8}"`} value="${Math.min(used, limit)}"></meter>`;
}
