// What docs/runtimes.md says of each runtime is what the matrix expects of it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { matrixTable, wineTable } from '../runtimes/expectations.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/runtimes.md'), 'utf8');

it.each([
  ['Linux', matrixTable()],
  ['Windows', wineTable()],
])('the table of %s', (system, table) => {
  const [, section = ''] = PAGE.split(`## On ${system}\n`);
  const [shown] = section.split('\n## ');
  expect(shown?.split('\n').filter((line) => line.startsWith('|'))).toEqual(table);
});
