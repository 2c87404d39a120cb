// What is meant to outlive its host, on a system in memory and in a real folder.
import { mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it as base, describe, expect } from 'vitest';
import { FakeOs, type FakeProcess, HOST_PID } from '../../../kit/fake-os.ts';
import { findKept, KeptFiles } from '../../../src/containment/kept.ts';
import type { SupervisionRecord } from '../../../src/store/formats.ts';

const OWNER = 'KeeperOfTests';
const LADDER = { stdinEofMs: 0, termMs: 0, killMs: 0 };

const it = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures are wanted.
  .extend('stateDir', ({}, { onCleanup }) => {
    const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-kept-'));
    onCleanup(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend('os', () => new FakeOs())
  .extend('keeper', ({ os }) => ({ ...os.identify(), instance: OWNER }))
  .extend('files', ({ stateDir, keeper }) => {
    const warnings: string[] = [];
    const warn = (message: string) => warnings.push(message);
    const options = { stateDir, owner: keeper, openedAt: 0, userId: process.getuid?.(), warn };
    return Object.assign(new KeptFiles(options), {
      warnings,
    });
  })
  .extend('find', ({ os, stateDir, keeper }) => (dryRun = false) => {
    const lost: string[] = [];
    const history = {
      lost: (owner: string, { id }: SupervisionRecord) => void lost.push(`${owner} ${id}`),
      ended: () => undefined,
    };
    const context = { os, stateDir, dryRun, ladder: LADDER, self: keeper, history };
    return findKept(context).then((found) => ({ ...found, lost, names: readdirSync(stateDir) }));
  });

function recordOf({ pid, startTime }: FakeProcess): SupervisionRecord {
  const identity = { startTime, bootId: 'fake-boot', pidNamespace: 'pid:[1]' };
  const about = { group: true, kind: 'tool', command: 'server', cwd: '/', startedAt: 0 };
  return { id: `r${pid}`, pid, ...identity, ...about, outlivesHost: true };
}

const segmentOf = ({ pid }: FakeProcess) => `${OWNER}.r${pid}.kept`;

describe('what is kept', () => {
  it('is found while it lives, and whether its keeper does', async ({ os, files, find }) => {
    const server = os.add();
    files.add(recordOf(server));
    expect((await find()).kept).toMatchObject([
      { record: { pid: server.pid }, segment: segmentOf(server), ownerIsAlive: true },
    ]);
    os.die(HOST_PID);
    expect((await find()).kept).toMatchObject([{ ownerIsAlive: false }]);
  });

  it.for([
    ['was written before this boot', true, 1],
    ['may be another machine’s', false, 0],
  ] as const)(
    'by a host with a heartbeat, in another boot, is forgotten if its file %s',
    async ([, isOld, forgotten], { os, stateDir, keeper, find }) => {
      const owner = { ...keeper, heartbeat: '0123456789ab', bootId: 'another' };
      const options = { stateDir, owner, openedAt: 0, userId: process.getuid?.() };
      const theirs = new KeptFiles({ ...options, warn: () => expect.unreachable() });
      theirs.add({ ...recordOf(os.add()), bootId: 'another' });
      Object.assign(os, { isOfEarlierBoot: () => isOld });
      expect(await find()).toMatchObject({ kept: [], forgotten });
    },
  );

  it('is found by its cookie when only its children are left', async ({ os, files, find }) => {
    const server = os.add();
    files.add(recordOf(server));
    os.add({ cookie: segmentOf(server) });
    os.die(server.pid);
    expect(await find()).toMatchObject({ kept: [{ record: { pid: server.pid } }], forgotten: 0 });
  });

  it('is forgotten when it is dead, but not by a dry run', async ({ os, files, find }) => {
    const server = os.add();
    files.add(recordOf(server));
    os.die(server.pid);
    expect(await find(true)).toMatchObject({ kept: [], forgotten: 1, lost: [], names: [/kept/] });
  });

  it('is forgotten when it is dead', async ({ os, files, find }) => {
    const server = os.add();
    files.add(recordOf(server));
    os.die(server.pid);
    const lost = [`${OWNER} r${server.pid}`];
    expect(await find()).toMatchObject({ kept: [], forgotten: 1, lost, names: [] });
  });

  it('is forgotten after a boot, although somebody has its number', async ({ os, files, find }) => {
    files.add({ ...recordOf(os.add()), bootId: 'an-earlier-boot' });
    expect(await find()).toMatchObject({ kept: [], forgotten: 1, names: [] });
  });

  it('is left alone while it cannot be judged', async ({ os, files, find }) => {
    const server = os.add();
    files.add({ ...recordOf(server), startTime: undefined });
    const { kept, unproven, names } = await find();
    expect({ kept, names }).toEqual({ kept: [], names: [expect.stringContaining('kept-')] });
    expect(unproven).toMatchObject([{ pid: server.pid, reason: /it is unproven$/ }]);
  });

  it('is left alone under a name that is not its own', async ({ os, files, find, stateDir }) => {
    files.add(recordOf(os.add()));
    const [name = ''] = readdirSync(stateDir);
    renameSync(join(stateDir, name), join(stateDir, name.replace(OWNER, 'Another')));
    const { kept, unproven, names } = await find();
    expect({ kept, names: names.length }).toEqual({ kept: [], names: 1 });
    expect(unproven).toMatchObject([{ reason: /its name is not that of what is in it$/ }]);
  });

  it('costs no look where nothing is', async ({ os, find }) => {
    expect(await find()).toMatchObject({ kept: [], forgotten: 0, unproven: [] });
    expect(os.looks).toBe(0);
  });

  it('is no more once it is removed', async ({ os, files, find }) => {
    const record = recordOf(os.add());
    files.add(record);
    files.remove(record.id);
    expect(await find()).toMatchObject({ kept: [], names: [] });
  });

  it('is written down anew when the host learns who it is', async ({ os, files, keeper, find }) => {
    const server = os.add();
    files.add({ ...recordOf(server), bootId: 'not-known-yet' });
    files.identify({ ...keeper, bootId: 'fake-boot' });
    expect((await find()).kept).toMatchObject([{ record: { bootId: 'fake-boot' } }]);
  });

  it('lets the host go on where it cannot be written down', ({ os, files, stateDir }) => {
    rmSync(stateDir, { recursive: true });
    files.add(recordOf(os.add()));
    expect(files.warnings).toEqual(['what outlives this host could not be written down']);
  });
});
