// What only another program can put in a ledger's place.
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Ledger } from '../../../src/store/ledger.ts';

let folder: string;
let path: string;
let warnings: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  path = join(folder, 'a.jsonl');
  warnings = [];
});
afterEach(() => rm(folder, { recursive: true }));

const open = (userId = process.getuid?.()) =>
  new Ledger<{ n: number }>({
    path,
    userId,
    parse: (value) =>
      typeof (value as { n?: unknown })?.n === 'number' ? (value as never) : undefined,
    warn: (message) => warnings.push(message),
  });
const numbers = (ledger: Ledger<{ n: number }>) => ledger.read().map(({ n }) => n);

describe('a ledger', () => {
  it.skipIf(process.platform === 'win32')('hangs no host over a pipe of its name', () => {
    execFileSync('mkfifo', [path]);
    const ledger = open();
    expect(numbers(ledger)).toEqual([]);
    ledger.append({ n: 1 });
    expect(numbers(ledger)).toEqual([1]);
    expect(warnings).toEqual([`${path} cannot be read; it goes on in memory`]);
  });
});
