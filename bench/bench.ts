// npm run bench [-- [--write] word …]: measures the rows whose names or files contain one of the words,
// or all of them, each beside its peers, and prints one table; `--write` puts it into docs/performance.md,
// with charts. A missed target is marked, never an error.
import { cpus, release } from 'node:os';
import { parseArgs, stripVTControlCharacters, styleText } from 'node:util';
import { type Result, writeReport } from './report.ts';
import type { Measurement, Row } from './row.ts';

const ROWS: Readonly<Record<string, () => Promise<{ readonly row: Row }>>> = {
  spawn: () => import('./rows/spawn.ts'),
  'first-byte': () => import('./rows/first-byte.ts'),
  throughput: async () => ({ row: (await import('./rows/throughput.ts')).chunks }),
  'throughput-frames': async () => ({ row: (await import('./rows/throughput.ts')).frames }),
  'throughput-large': async () => ({ row: (await import('./rows/throughput.ts')).largeFrames }),
  'ping-pong': () => import('./rows/ping-pong.ts'),
  short: () => import('./rows/short.ts'),
  journal: () => import('./rows/journal.ts'),
  slot: () => import('./rows/slot.ts'),
  'machine-slot': () => import('./rows/machine-slot.ts'),
  keys: () => import('./rows/keys.ts'),
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
  'command-version': async () => ({ row: (await import('./rows/command.ts')).version }),
  'command-ps': async () => ({ row: (await import('./rows/command.ts')).ps }),
  'command-run': async () => ({ row: (await import('./rows/command.ts')).run }),
  events: () => import('./rows/events.ts'),
  import: () => import('./rows/import.ts'),
  'first-launch': () => import('./rows/first-launch.ts'),
  heap: () => import('./rows/heap.ts'),
  query: () => import('./rows/query.ts'),
  'scale-spawn': async () => ({ row: (await import('./rows/scale.ts')).spawnRate }),
  'scale-memory': async () => ({ row: (await import('./rows/scale.ts')).heap }),
  'scale-sweep': async () => ({ row: (await import('./rows/scale.ts')).sweep }),
  'scale-stop': async () => ({ row: (await import('./rows/scale.ts')).stop }),
  'scale-loop': async () => ({ row: (await import('./rows/scale.ts')).loop }),
};

const COLUMNS = [
  ['row', 30],
  ['figures (medians)', 46],
  ['compared', 30],
  ['target', 30],
  ['', 6],
] as const;

const [cpu] = cpus();
const machine = `node ${process.version} · ${process.platform} ${release()} ${process.arch} · ${cpus().length} × ${cpu?.model ?? 'unknown CPU'}`;
console.log(`${machine}\n`);
printRow(COLUMNS.map(([title]) => [title]));

const { values, positionals: words } = parseArgs({
  options: { write: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const results: Result[] = [];
for (const [key, load] of Object.entries(ROWS)) {
  const { row } = await load();
  if (words.length > 0 && !words.some((word) => `${key} ${row.name}`.includes(word))) continue;
  const measured = await row.measure();
  results.push({ key, row, measured });
  printRow(cellsOf(row, measured));
}
const held = results.filter(({ measured }) => measured.ok).length;
console.log(`\n${held} of ${results.length} targets hold`);
if (values.write) writeReport(machine, results);

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
