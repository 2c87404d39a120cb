// What a soak prints in the end.

import { LADDER, SWEEP_MS } from './host-process.ts';
import { DEED_NAMES } from './plan.ts';
import type { Witness } from './witness.ts';
import type { World } from './world.ts';

const MIB = 1024 * 1024;
const rounded = (value: number): string => String(Math.round(value));

export function printSummary(
  world: World,
  { measured, invariants, violation }: Witness,
  { seed, minutes }: { readonly seed: number; readonly minutes: number },
): void {
  const deeds = DEED_NAMES.map((name) => [name, world.counts.get(name) ?? 0] as const);
  const others = [...world.counts].filter(([name]) => !DEED_NAMES.some((deed) => deed === name));
  printTable('thrown at it', deeds);
  printTable(
    'what came of it',
    others.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  printTable('seen', [
    ['looks', measured.looks],
    ['most processes at once', measured.processes],
    ['most agents of one host at once', measured.agentsOfHost],
    [
      `last process gone after a host's death, by its guardian (${LADDER.termMs + LADDER.killMs} ms), in ms`,
      rounded(measured.guardedMs),
    ],
    [
      `the same, by the sweep of another host (every ${SWEEP_MS} ms), in ms`,
      rounded(measured.orphanedMs),
    ],
    ['memory of the oldest host after 20 s, in MiB', rounded(measured.warmBytes / MIB)],
    ['memory of the oldest host in the end, in MiB', rounded(measured.residentBytes / MIB)],
  ]);
  printTable(
    'held',
    invariants.map(({ name }) => [name, violation?.startsWith(name) ? 'VIOLATED' : 'yes']),
  );
  for (const what of world.leftOut) console.log(`\nleft out: ${what}`);
  const count = violation === undefined ? 'no violation' : 'a violation';
  console.log(`\nseed ${seed}: ${count} in ${minutes.toFixed(1)} minutes`);
}

function printTable(title: string, rows: readonly (readonly [string, string | number])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  console.log(`\n${title}`);
  for (const [name, value] of rows) console.log(`  ${name.padEnd(width)}  ${value}`);
}
