// Daemons that agents ensure, generation below generation; no host may end one of them.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { sourceFlags } from './built-sources.ts';
import { type Area, endAndConfirm } from './containment.ts';
import { eventually, isAlive, readRow } from './process-table.ts';

const SCRIPT = join(import.meta.dirname, '../test/fixtures/hosts/generations.ts');

/** Starts a chain of daemons, ends the first, and expects the others to live on. */
export async function liveOn(area: Area, generations: number, isWashed: boolean): Promise<void> {
  const flags = [...sourceFlags(), SCRIPT];
  const args = [
    ...flags,
    'daemon',
    String(generations),
    area.folder,
    ...(isWashed ? ['clear'] : []),
  ];
  const env = area.env;
  const first = spawn(process.execPath, args, { env, cwd: area.folder, stdio: 'ignore' });
  const pidOf = (left: number): string => join(area.folder, `alive-${left}`);
  const all = Array.from({ length: generations + 1 }, (_, left) => pidOf(left));
  // Each writes its pid when its agent has exited.
  await eventually(() => all.every(existsSync), {
    timeoutMs: 6000 * (generations + 1),
    everyMs: 50,
    what: 'all generations are there',
  });
  const ends = Array.from({ length: generations }, (_, at) =>
    JSON.parse(readFileSync(join(area.folder, `agent-${at + 1}.json`), 'utf8')),
  );
  expect(ends).toEqual(ends.map(() => ({ cause: 'completed', leftovers: [] })));
  const daemons = Array.from({ length: generations }, (_, left) => {
    const row = readRow(Number(readFileSync(pidOf(left), 'utf8')));
    if (row === undefined) throw new Error(`generation ${left} has ended`);
    return row;
  });
  first.kill('SIGKILL');
  await eventually(() => first.exitCode !== null || first.signalCode !== null);
  expect(daemons.filter((daemon) => !isAlive(daemon))).toEqual([]);
  await endAndConfirm(daemons);
}
