import { chownSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it as inArea, LADDER } from '../../../kit/containment.ts';
import { DEAD_OWNER, type Forgery, forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { isAlive, type ProcessRow, readRow } from '../../../kit/process-table.ts';
import { createSupervisor, type StartReport } from '../../../src/index.ts';

const it = inArea.extend('heir', async ({ area }, { onCleanup }) => {
  const heir = createSupervisor({ stateDir: area.stateDir, guardian: true, ladder: LADDER });
  onCleanup(async () => {
    await heir.stop();
  });
  return heir;
});

const self = (): ProcessRow => rowOf(process.pid);
const parent = (): ProcessRow => rowOf(process.ppid);

function rowOf(pid: number): ProcessRow {
  const row = readRow(pid);
  if (row === undefined) throw new Error(`there is no process ${pid}`);
  return row;
}

const later = (startTime: string) => String(BigInt(startTime) + 1n);

interface Case {
  readonly name: string;
  readonly forgery: (canary: ProcessRow) => Forgery;
  /** What the report says: how many records were forgotten, and what was unproven. */
  readonly forgotten?: number;
  readonly unproven?: RegExp;
}

/** Each names a canary, or one of us; none of them may cost anybody's life. */
const CASES: readonly Case[] = [
  {
    name: 'a live pid with another start time',
    forgery: (canary) => ({
      records: [recordOf({ ...canary, startTime: later(canary.startTime) })],
    }),
    forgotten: 1,
  },
  {
    name: 'a live pid without a start time',
    forgery: (canary) => ({ records: [{ ...recordOf(canary), startTime: undefined }] }),
    unproven: /start time of .* was never known/,
  },
  {
    name: 'a start time that only looks the same',
    forgery: (canary) => ({
      records: [
        recordOf({ ...canary, startTime: `0${canary.startTime}` }, 'zero'),
        recordOf({ ...canary, startTime: `${canary.startTime} ` }, 'blank'),
      ],
    }),
    forgotten: 2,
  },
  {
    name: 'a record of another boot',
    forgery: (canary) => ({ records: [{ ...recordOf(canary), bootId: 'another' }] }),
    forgotten: 1,
  },
  {
    name: 'a record of another PID namespace',
    forgery: (canary) => ({ records: [{ ...recordOf(canary), pidNamespace: 'pid:[1]' }] }),
    forgotten: 1,
  },
  {
    name: 'an owner of another boot',
    forgery: (canary) => ({ owner: { bootId: 'another' }, records: [recordOf(canary)] }),
    forgotten: 1,
  },
  {
    name: 'an owner of another PID namespace',
    forgery: (canary) => ({ owner: { pidNamespace: 'pid:[1]' }, records: [recordOf(canary)] }),
    unproven: /elsewhere/,
  },
  {
    name: 'an owner without a start time',
    forgery: (canary) => ({
      owner: { startTime: undefined as never },
      records: [recordOf(canary)],
    }),
    unproven: /unproven/,
  },
  {
    name: 'an owner that is alive',
    forgery: (canary) => ({
      owner: { pid: process.pid, startTime: self().startTime },
      records: [recordOf(canary)],
    }),
  },
  {
    name: 'an unknown version',
    forgery: (canary) => ({ version: 99, records: [recordOf(canary)] }),
    unproven: /format/,
  },
  {
    name: 'pid 1',
    forgery: () => ({ records: [recordOf(rowOf(1))] }),
    unproven: /unreadable/,
  },
  { name: 'our own pid', forgery: () => ({ records: [recordOf(self())] }), forgotten: 1 },
  { name: 'our parent', forgery: () => ({ records: [recordOf(parent())] }), forgotten: 1 },
  ...[-1, 0, 1.5, 2 ** 22 + 1, 2 ** 53, '2', null].map((pid) => ({
    name: `the pid ${JSON.stringify(pid)}`,
    forgery: (canary: ProcessRow) => ({ records: [{ ...recordOf(canary), pid }] }),
    unproven: /unreadable/,
  })),
  {
    name: 'a negative pid of a group',
    forgery: (canary) => ({ records: [{ ...recordOf(canary), pid: -canary.pgid }] }),
    unproven: /unreadable/,
  },
  {
    name: 'an id that would reach into another cookie',
    forgery: (canary) => ({ records: [recordOf(canary, '1/Other.2')] }),
    unproven: /unreadable/,
  },
  {
    name: 'noise between and after the records',
    forgery: (canary) => ({
      noise: `\0\0\0\n{}\n[]\nnull\n{"add":null}\n{"remove":7}\n${JSON.stringify({ add: { pid: canary.pid } })}\n`,
    }),
    unproven: /unreadable/,
  },
  {
    name: '20 MB of noise',
    forgery: (canary) => ({
      records: [recordOf(canary)],
      noise: `${'noise '.repeat(1000)}\n`.repeat(3500),
    }),
    unproven: /bytes are no journal/,
  },
  {
    name: 'an empty instance in the name',
    forgery: (canary) => ({ name: 'host-.jsonl', records: [recordOf(canary)] }),
  },
  {
    name: 'a name that is not that of its owner',
    forgery: (canary) => ({ name: 'host-SomebodyElsesOwn.jsonl', records: [recordOf(canary)] }),
    unproven: /name/,
  },
];

async function expectHarmless(
  area: Area,
  heir: { start(): Promise<StartReport> },
  canary: ProcessRow,
): Promise<StartReport> {
  const report = await heir.start();
  expect(isAlive(canary)).toBe(true);
  expect(isAlive(self())).toBe(true);
  expect(report).toMatchObject({ orphans: [], ended: [], survivors: [] });
  expect(area.owners()).not.toHaveLength(0);
  return report;
}

describe.runIf(CAN_CONTAIN)('a journal ends nobody', () => {
  it.for(CASES)('with $name', async ({ forgery, forgotten = 0, unproven }, { area, heir }) => {
    const canary = area.canary();
    forgeJournal(area.stateDir, forgery(canary));
    const report = await expectHarmless(area, heir, canary);
    expect(report.forgotten).toBe(forgotten);
    const reasons = report.unproven.map(({ reason }) => reason);
    if (unproven === undefined) expect(reasons).toEqual([]);
    else expect(reasons).toEqual(expect.arrayContaining([expect.stringMatching(unproven)]));
  });

  it('behind a symbolic link', async ({ area, heir }) => {
    const canary = area.canary();
    const path = forgeJournal(area.stateDir, { records: [recordOf(canary)] });
    renameSync(path, join(area.folder, 'elsewhere'));
    symlinkSync(join(area.folder, 'elsewhere'), path);
    const report = await expectHarmless(area, heir, canary);
    expect(report.unproven).toMatchObject([{ reason: expect.stringContaining('regular') }]);
  });

  it.runIf(process.getuid?.() === 0)('of another user', async ({ area, heir }) => {
    const canary = area.canary();
    chownSync(forgeJournal(area.stateDir, { records: [recordOf(canary)] }), 12_345, 12_345);
    const report = await expectHarmless(area, heir, canary);
    expect(report.unproven).toMatchObject([{ reason: expect.stringContaining('uid 12345') }]);
  });

  it('with 10,000 stale records, and the loop stays free', async ({ area, heir }) => {
    const canary = area.canary();
    const records = Array.from({ length: 10_000 }, (_, n) =>
      recordOf({ pid: canary.pid, startTime: String(n + 1) }, `r${n}`),
    );
    forgeJournal(area.stateDir, { records });
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const report = await expectHarmless(area, heir, canary);
    delay.disable();
    expect(report.forgotten).toBe(10_000);
    expect(delay.max / 1e6, 'longest block in ms').toBeLessThan(1000);
  });

  it('that names a group which is not its leader’s: the others of it live', async ({
    area,
    heir,
  }) => {
    // The recorded process is proven and ends; who shares its session, whose leader is dead, is not.
    const [recorded, other] = await area.orphanedSession();
    forgeJournal(area.stateDir, { records: [{ ...recordOf(recorded), group: true }] });
    const report = await heir.start();
    expect(report.orphans.map(({ pid }) => pid)).toEqual([recorded.pid]);
    expect([recorded, other].map(isAlive)).toEqual([false, true]);
  });

  it('that names a canary as it is: this one does end (control)', async ({ area, heir }) => {
    const canary = area.canary();
    forgeJournal(area.stateDir, { records: [recordOf(canary)] });
    const report = await heir.start();
    expect(report.orphans).toMatchObject([{ pid: canary.pid }]);
    expect(isAlive(canary)).toBe(false);
    expect(report.recovered).toEqual([DEAD_OWNER.instance]);
  });
});
