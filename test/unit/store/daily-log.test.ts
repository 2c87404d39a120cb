// One file a day, on a clock that stands still.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { DailyLedger, removeOldDays } from '../../../src/store/daily-log.ts';
import { parseName } from '../../../src/store/layout.ts';
import { retentionOf } from '../../../src/store/retention.ts';

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
    ...{ os, kind: 'day' as const, remembers: true },
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
    const old = ['spend-2026-02-07.jsonl', 'spend-2025-12-31.jsonl', 'history-2026-02-23.jsonl'];
    const others = [
      'spend-2026-02-08.jsonl',
      'history-2026-02-24.jsonl',
      'spend-2026-04-01.jsonl',
      'spend-2020-01-01.jsonl.bak',
      'spend-of-2020-01-01.jsonl',
      'spend-2020-01-01x.jsonl',
      'old-spend-2020-01-01.jsonl',
    ];
    put(...old, ...others);
    const believed = (nowMs: number | undefined) =>
      retentionOf({
        trusted: nowMs === undefined ? undefined : { at: nowMs, bootId: 'b', sinceBootMs: 0 },
        ...{ last: { at: NOON_MS, bootId: 'b', sinceBootMs: 0 }, steadySince: 0 },
      });
    const context = { stateDir, dryRun: false };
    expect(removeOldDays(context, believed(undefined))).toEqual([]);
    expect(removeOldDays({ ...context, dryRun: true }, believed(NOON_MS))).toHaveLength(3);
    expect(files()).toEqual([...old, ...others].sort());
    removeOldDays(context, believed(NOON_MS));
    expect(files()).toEqual(others.sort());
    removeOldDays(context, believed(NOON_MS + DAY_MS));
    expect(files()).not.toContain('spend-2026-02-08.jsonl');
    expect(removeOldDays({ ...context, stateDir: '/nowhere' }, believed(NOON_MS))).toEqual([]);
  });

  it('needs no folder to be read', () => {
    rmSync(stateDir, { recursive: true });
    expect(days.today.read()).toEqual([]);
    expect(warnings).toEqual([]);
  });
});

it.each([
  ['spend-2026-03-10.jsonl', '2026-03-10'],
  ['spend-2026-03-10.jsonl.tmp', undefined],
  ['spend-x2026-03-10.jsonl', undefined],
  ['history-2026-03-10.jsonl', undefined],
])('%s is of %s', (name, day) => {
  expect(parseName(name, 'day')?.day).toBe(day);
});
