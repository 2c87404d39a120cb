// npm run bench [-- word …]: measures the rows whose names or files contain one of the words, or all
// of them, each beside its peers, and prints one table. A missed target is marked, never an error.
import { cpus, release } from 'node:os';
import { stripVTControlCharacters, styleText } from 'node:util';
import type { Measurement, Row } from './row.ts';

const ROWS: Readonly<Record<string, () => Promise<{ readonly row: Row }>>> = {
  spawn: () => import('./rows/spawn.ts'),
  journal: () => import('./rows/journal.ts'),
  slot: () => import('./rows/slot.ts'),
  end: () => import('./rows/end.ts'),
  death: () => import('./rows/death.ts'),
  guardian: () => import('./rows/guardian.ts'),
  look: () => import('./rows/look.ts'),
  sweep: () => import('./rows/sweep.ts'),
  limits: () => import('./rows/limits.ts'),
  sampling: () => import('./rows/sampling.ts'),
  ensure: () => import('./rows/ensure.ts'),
  'cold-start': () => import('./rows/cold-start.ts'),
  daemon: () => import('./rows/daemon.ts'),
  'pid-file': () => import('./rows/pid-file.ts'),
  doctor: () => import('./rows/doctor.ts'),
  command: () => import('./rows/command.ts'),
  events: () => import('./rows/events.ts'),
  import: () => import('./rows/import.ts'),
  heap: () => import('./rows/heap.ts'),
  query: () => import('./rows/query.ts'),
};

const COLUMNS = [
  ['row', 30],
  ['figures (medians)', 46],
  ['compared', 30],
  ['target', 30],
  ['', 6],
] as const;

const [cpu] = cpus();
console.log(
  `node ${process.version} · ${process.platform} ${release()} ${process.arch} · ${cpus().length} × ${cpu?.model ?? 'unknown CPU'}\n`,
);
printRow(COLUMNS.map(([title]) => [title]));

const words = process.argv.slice(2);
const verdicts: boolean[] = [];
for (const [file, load] of Object.entries(ROWS)) {
  const { row } = await load();
  if (words.length > 0 && !words.some((word) => `${file} ${row.name}`.includes(word))) continue;
  const measured = await row.measure();
  verdicts.push(measured.ok);
  printRow(cellsOf(row, measured));
}
console.log(`\n${verdicts.filter(Boolean).length} of ${verdicts.length} targets hold`);

function cellsOf(row: Row, { figures, ratio, ok }: Measurement): string[][] {
  const width = Math.max(0, ...figures.map(({ who }) => who.length));
  return [
    wrap(row.name, 0),
    figures.map(({ who, value }) => `${who.padEnd(width)}  ${value}`),
    wrap(ratio, 2),
    wrap(row.target, 3),
    [ok ? styleText('green', 'holds') : styleText('red', 'MISSED')],
  ];
}

/** Breaks a text into lines that fit its column. */
function wrap(text: string, column: number): string[] {
  const width = COLUMNS[column]?.[1] ?? text.length;
  return text.match(new RegExp(`.{1,${width}}(?=\\s|$)`, 'g'))?.map((line) => line.trim()) ?? [];
}

function printRow(cells: readonly (readonly string[])[]): void {
  const height = Math.max(...cells.map((lines) => lines.length));
  for (let line = 0; line < height; line++) {
    const padded = cells.map((lines, column) => {
      const text = lines[line] ?? '';
      const width = COLUMNS[column]?.[1] ?? 0;
      return text + ' '.repeat(Math.max(0, width - stripVTControlCharacters(text).length));
    });
    console.log(padded.join('  ').trimEnd());
  }
  console.log('');
}
