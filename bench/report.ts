// What docs/performance.md shows of a run: a table of all rows, and the charts of those that have one.
import { readFileSync, writeFileSync } from 'node:fs';
import { chartSvg } from './chart.ts';
import type { Measurement, Row } from './row.ts';

const PAGE = new URL('../docs/performance.md', import.meta.url);
const PICTURES = new URL('../docs/pictures/', import.meta.url);
const [BEGIN, END] = ['<!-- npm run bench -- --write -->', '<!-- end -->'];

/** A row with what this run has measured of it, under the name of its picture. */
export interface Result {
  readonly key: string;
  readonly row: Row;
  readonly measured: Measurement;
}

/** Puts a run into the page, in the place of the one before. */
export function writeReport(machine: string, results: readonly Result[]): void {
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/performance.md lacks ${BEGIN} … ${END}`);
  const charts = results.flatMap(({ key, measured: { chart } }) => {
    if (chart === undefined) return [];
    const name = `bench-${key}.svg`;
    writeFileSync(new URL(name, PICTURES), chartSvg(chart));
    return [`![${chart.title}, ${chart.unit}](pictures/${name})`];
  });
  const text = [
    BEGIN,
    machine,
    '',
    ...tableOf(results),
    '',
    ...charts.flatMap((line) => [line, '']),
    END,
  ];
  writeFileSync(PAGE, page.slice(0, begin) + text.join('\n') + page.slice(end + END.length));
}

function tableOf(results: readonly Result[]): string[] {
  const rows = results.map(({ row, measured: { figures, ratio, ok } }) => [
    row.name,
    figures.map(({ who, value }) => `${who}: ${value}`).join('<br>'),
    ratio,
    row.target,
    ok ? 'holds' : '**missed**',
  ]);
  return [
    '| what | medians | compared | target | |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`),
  ];
}
