// One file a day, on a clock that stands still.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { DailyLedger, dayOfFile } from '../../../src/ownership/daily-ledger.ts';

const DAY_MS = 86_400_000;
const NOON_MS = Date.UTC(2026, 2, 10, 12);

let os: FakeOs;
let stateDir: string;
let warnings: string[];
let days: DailyLedger<{ n: number }>;

beforeEach(() => {
  os = new FakeOs();
  os.clock.setWall(NOON_MS);
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-days-'));
  warnings = [];
  days = new DailyLedger({
    ...{ os, prefix: 'spend', keptDays: 3, remembers: true },
    stateDir: () => stateDir,
    parse: (value) => value as { n: number },
    warn: (message) => warnings.push(message),
  });
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const put = (...names: string[]) => {
  for (const name of names) writeFileSync(join(stateDir, name), '');
};
const files = () => readdirSync(stateDir).sort();

describe('the ledger of a day', () => {
  it('is one file until midnight in UTC, and another one from then on', async () => {
    days.today.append({ n: 1 });
    os.clock.setWall(NOON_MS + DAY_MS / 2 - 1);
    days.today.append({ n: 2 });
    expect(days.today.read()).toEqual([{ n: 1 }, { n: 2 }]);
    os.clock.setWall(NOON_MS + DAY_MS / 2);
    expect(days.today.read()).toEqual([]);
    days.today.append({ n: 3 });
    expect(days.today.read()).toEqual([{ n: 3 }]);
    expect(files()).toEqual(['spend-2026-03-10.jsonl', 'spend-2026-03-11.jsonl']);
  });

  it('removes the files of days that are kept no longer, and no other', () => {
    const old = ['spend-2026-03-06.jsonl', 'spend-2025-12-31.jsonl'];
    const others = [
      'spend-2026-03-07.jsonl',
      'spend-2020-01-01.jsonl.bak',
      'spend-of-2020-01-01.jsonl',
      'spend-2020-01-01x.jsonl',
      'history-2020-01-01.jsonl',
      'old-spend-2020-01-01.jsonl',
    ];
    put(...old, ...others);
    days.today.append({ n: 1 });
    expect(files()).toEqual([...others, 'spend-2026-03-10.jsonl'].sort());
    os.clock.setWall(NOON_MS + DAY_MS);
    days.today.append({ n: 2 });
    expect(files()).not.toContain('spend-2026-03-07.jsonl');
    expect(warnings).toEqual([]);
  });

  it('warns where these cannot be found out, and not where there is no folder yet', () => {
    rmSync(stateDir, { recursive: true });
    expect(days.today.read()).toEqual([]);
    expect(warnings).toEqual([]);
    os.clock.setWall(NOON_MS + DAY_MS);
    writeFileSync(stateDir, 'a file');
    expect(days.today.read()).toEqual([]);
    expect(warnings[0]).toBe(`${stateDir}: old days' files cannot be removed`);
  });
});

it.each([
  ['spend-2026-03-10.jsonl', '2026-03-10'],
  ['spend-2026-03-10.jsonl.tmp', undefined],
  ['spend-x2026-03-10.jsonl', undefined],
  ['history-2026-03-10.jsonl', undefined],
])('%s is of %s', (name, day) => {
  expect(dayOfFile('spend', name)).toBe(day);
});
