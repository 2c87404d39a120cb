import { styleText } from 'node:util';
import { fit, widthOf } from './plain.ts';

type Style = Parameters<typeof styleText>[0];

/** Colours a text, or leaves it as it is where the terminal has no colours. */
export type Paint = (style: Style, text: string) => string;

export function painter(hasColor: boolean): Paint {
  return (style, text) =>
    hasColor && text !== '' ? styleText(style, text, { validateStream: false }) : text;
}

export type Cell = string | { readonly text: string; readonly style: Style };

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Least width to which the column may be cut where room is short. @default never cut */
  readonly leastWidth?: number;
}

const GAP = '  ';

/**
 * Lays out a table as lines. Each column is as wide as its widest cell; where room is short, the widest
 * columns are cut.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  maxWidth = Number.POSITIVE_INFINITY,
): string[] {
  const titles = columns.map(({ title }): Cell => ({ text: title, style: 'dim' }));
  const all = [titles, ...rows];
  const wanted = columns.map((_, index) =>
    all.reduce((widest, row) => Math.max(widest, widthOf(textOf(row[index]))), 0),
  );
  const widths = shrink(wanted, columns, maxWidth - GAP.length * (columns.length - 1));
  return all.map((row) => {
    let [line, left] = ['', maxWidth];
    // The last cell of a line gets no trailing blanks.
    const end = columns.findLastIndex((_, index) => textOf(row[index]) !== '');
    for (const [index, { align = 'left' }] of columns.slice(0, end + 1).entries()) {
      const gap = index === 0 ? '' : GAP.slice(0, left);
      left -= gap.length;
      const width = Math.min(widths[index] ?? 0, left);
      left -= width;
      const cell = row[index] ?? '';
      const text = fit(textOf(cell), width);
      const blanks = ' '.repeat(width - widthOf(text));
      const shown = typeof cell === 'string' ? text : paint(cell.style, text);
      const padded = align === 'right' ? blanks + shown : shown + blanks;
      line += gap + (index === end && align === 'left' ? shown : padded);
    }
    return line;
  });
}

/** Narrows the widest column that may be cut, until all fit or none is left to cut. */
function shrink(wanted: readonly number[], columns: readonly Column[], room: number): number[] {
  const widths = [...wanted];
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  while (excess > 0 && Number.isFinite(excess)) {
    const spare = widths.map((width, index) => {
      const { leastWidth = Number.POSITIVE_INFINITY } = columns[index] ?? {};
      return width > leastWidth ? width : 0;
    });
    const widest = Math.max(...spare);
    if (widest <= 0) break;
    const at = spare.indexOf(widest);
    widths[at] = widest - 1;
    excess--;
  }
  return widths;
}

function textOf(cell: Cell | undefined): string {
  return typeof cell === 'string' ? cell : (cell?.text ?? '');
}

/** Formats a duration as `4d 3h`, `2h 05m`, `3m 20s`, `12.3s` or `450ms`. */
export function duration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)}ms`;
  // Compare the rounded value, or 59.96 s would become "60.0s".
  if (Math.round(ms / 100) < 600) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  const two = (number: number): string => String(number).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 48) return `${hours}h ${two(Math.floor((seconds % 3600) / 60))}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Formats a size as `1.4 MiB`; empty for one that could not be measured. */
export function bytes(count: number | null): string {
  if (count === null) return '';
  let [value, unit] = [count, 0];
  // Compare the rounded value, or 1023.7 KiB would become "1024 KiB".
  while (Math.round(value) >= 1024 && unit < UNITS.length - 1)
    [value, unit] = [value / 1024, unit + 1];
  const hasTenths = unit > 0 && Math.round(value * 10) < 100;
  return `${hasTenths ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Formats a count as `1 host` or `2 hosts`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
