import { stripVTControlCharacters, styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

export function painter(hasColor: boolean): Paint {
  return (style, text) =>
    hasColor && text !== '' ? styleText(style, text, { validateStream: false }) : text;
}

/** A name that others have chosen, without what could steer a terminal. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, '?');
}

export type Cell = string | { readonly text: string; readonly style: Style };

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** A table as lines: each column as wide as its widest cell, the last one as wide as there is room. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  maxWidth = Number.POSITIVE_INFINITY,
): string[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => textOf(row[index]).length)),
  );
  const titles = columns.map(({ title }): Cell => ({ text: title, style: 'dim' }));
  return [titles, ...rows].map((row) => {
    let left = maxWidth;
    const cells = columns.map(({ align = 'left' }, index) => {
      const isLast = index === columns.length - 1;
      const cell = row[index] ?? '';
      const width = widths[index] ?? 0;
      const text = textOf(cell);
      const padded = align === 'right' ? text.padStart(width) : isLast ? text : text.padEnd(width);
      const cut = padded.slice(0, Math.max(0, left));
      left -= cut.length + 2;
      return typeof cell === 'string' ? cut : paint(cell.style, cut);
    });
    return cells.join('  ').trimEnd();
  });
}

function textOf(cell: Cell | undefined): string {
  return typeof cell === 'string' ? cell : (cell?.text ?? '');
}

/** `4d 3h`, `2h 05m`, `3m 20s`, `12.3s`, `450ms` */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${(ms / 1000).toFixed(1)}s`;
  const two = (number: number): string => String(number).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 48) return `${hours}h ${two(Math.floor((seconds % 3600) / 60))}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** `1.4 MiB`; nothing for what could not be measured. */
export function bytes(count: number | null): string {
  if (count === null) return '';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [count, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
