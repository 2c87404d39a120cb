// Systems that tell a host only after a while who it is (macOS, Windows), in memory: what its journal
// says then, and what is made of the journals of others.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FakeProcess, HOST_PID } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { standing } from '../../../kit/state-dir.ts';
import {
  FORMAT_VERSION,
  type JournalHeader,
  parseChange,
  parseHeader,
} from '../../../src/store/formats.ts';
import { Journal } from '../../../src/store/journal.ts';

const OWNER = 'AnotherOwnerOfTests';
const PLATFORMS = ['darwin', 'win32'] as const;
/** What the system in memory says of this boot. */
const BOOT = { darwin: 'fake-boot', win32: '' } as const;

class Heir extends FakeSupervision {
  readonly platform: (typeof PLATFORMS)[number];

  constructor(platform: (typeof PLATFORMS)[number]) {
    super({ ladder: { stdinEofMs: 10, termMs: 20, killMs: 20 } }, platform);
    this.platform = platform;
  }

  /** The journal that another host has left or keeps; returns its path. */
  journalOf(
    owner: Partial<JournalHeader['owner']>,
    processes: readonly FakeProcess[],
    bootId: string = BOOT[this.platform],
  ): string {
    const identity = { bootId, pidNamespace: '' };
    const header = { instance: OWNER, machine: 'fake', pid: 40, ...identity, ...owner };
    const records = processes.map(({ pid, startTime }) => ({
      ...{ id: `r${pid}`, pid, startTime, ...identity, group: this.platform !== 'win32' },
      ...{ kind: 'tool', command: '', cwd: '', startedAt: 0 },
    }));
    const lines = [
      { version: FORMAT_VERSION, owner: header, openedAt: 0 },
      ...records.map((add) => ({ add })),
    ];
    const path = join(this.stateDir, `host-${OWNER}.jsonl`);
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  get ownJournal() {
    const [name = ''] = standing(this.stateDir).filter((file) => !file.includes(OWNER));
    return readNow(join(this.stateDir, name));
  }
}

describe.each(PLATFORMS)('on %s', (platform) => {
  it('a journal is rewritten when its owner is known, and so are its records', async () => {
    using heir = new Heir(platform);
    const process = heir.spawn('a');
    const self = heir.os.get(HOST_PID);
    expect(heir.ownJournal.header?.owner).toMatchObject({ pid: HOST_PID, bootId: '' });
    expect(heir.ownJournal.header?.owner.startTime).toBeUndefined();

    await heir.until(heir.supervisor.start());
    const bootId = BOOT[platform];
    const { header, records, warnings } = heir.ownJournal;
    expect(header?.owner).toMatchObject({ startTime: self.startTime, bootId });
    const { startTime } = heir.os.get(process.pid ?? 0);
    expect([...records.values()]).toMatchObject([{ id: process.id, startTime, bootId }]);
    expect(warnings).toEqual([]);

    const later = heir.spawn('b', { kind: 'tool' });
    expect(heir.ownJournal.records.get(later.id)).toMatchObject({ bootId });
    await heir.until(heir.supervisor.stop());
    expect(standing(heir.stateDir)).toEqual([]);
  });

  it('what a dead owner left is ended', async () => {
    using heir = new Heir(platform);
    const leader = heir.os.add({ ppid: 1 });
    heir.os.fork(leader.pid);
    const path = heir.journalOf({ startTime: '1' }, [leader]);
    const report = await heir.until(heir.supervisor.start());
    expect(report).toMatchObject({ recovered: [OWNER], survivors: [], unproven: [] });
    expect(heir.os.alive).toEqual([]);
    expect(existsSync(path)).toBe(false);
  });

  it('so is what is left of one whose number somebody else has now', async () => {
    using heir = new Heir(platform);
    const other = heir.os.add();
    const leader = heir.os.add({ ppid: 1 });
    heir.journalOf({ pid: other.pid, startTime: '1' }, [leader]);
    expect((await heir.until(heir.supervisor.start())).recovered).toEqual([OWNER]);
    expect(heir.os.alive).toEqual([other.pid]);
  });

  it('what a live owner has is not touched, nor is its file', async () => {
    using heir = new Heir(platform);
    const owner = heir.os.add({ ppid: 1 });
    const leader = heir.os.add({ ppid: owner.pid });
    const path = heir.journalOf({ pid: owner.pid, startTime: owner.startTime }, [leader]);
    const report = await heir.until(heir.supervisor.start());
    expect(report).toMatchObject({ recovered: [], orphans: [], unproven: [], forgotten: 0 });
    expect(heir.os.alive).toEqual([owner.pid, leader.pid]);
    expect(existsSync(path)).toBe(true);
  });

  it('nor is it if its start time is disputed, as by a forged row of ps', async () => {
    using heir = new Heir(platform);
    const owner = heir.os.add({ ppid: 1, startTime: '' });
    const leader = heir.os.add({ ppid: owner.pid });
    heir.journalOf({ pid: owner.pid, startTime: '7' }, [leader]);
    const report = await heir.until(heir.supervisor.start());
    expect(report).toMatchObject({ recovered: [], unproven: [{ pid: owner.pid }] });
    expect(heir.os.alive).toEqual([owner.pid, leader.pid]);
  });

  it('what an owner of another boot had is forgotten, and nobody is signalled', async () => {
    using heir = new Heir(platform);
    const { pid } = heir.os.add();
    // Windows has no boot id: there the start times tell them apart.
    const before = { ...heir.os.get(pid), startTime: '2' };
    heir.journalOf({ startTime: '1' }, [before], platform === 'darwin' ? 'older-boot' : '');
    const report = await heir.until(heir.supervisor.start());
    expect(report).toMatchObject({ recovered: [OWNER], forgotten: 1, orphans: [], unproven: [] });
    expect(heir.os.alive).toEqual([pid]);
    expect(heir.os.log).toEqual([]);
  });

  it('an owner that never learnt who it was is reported and left alone', async () => {
    using heir = new Heir(platform);
    const leader = heir.os.add({ ppid: 1 });
    const path = heir.journalOf({}, [leader], '');
    const report = await heir.until(heir.supervisor.start());
    expect(report).toMatchObject({ recovered: [], orphans: [] });
    expect(report.unproven).toEqual([{ pid: 40, reason: `${path}: its owner is unproven` }]);
    expect(heir.os.alive).toEqual([leader.pid]);
    expect(existsSync(path)).toBe(true);
  });

  it('a failed look after a start crashes no host', async () => {
    using heir = new Heir(platform);
    await heir.until(heir.supervisor.start());
    heir.os.lookError = new Error('no look');
    heir.spawn('a');
    await heir.os.clock.settle();
    heir.os.lookError = undefined;
    expect((await heir.until(heir.supervisor.stop())).survivors).toEqual([]);
  });
});

it('records of before the owner was known are rewritten with it', () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-late-'));
  const owner = { instance: OWNER, machine: 'fake', pid: 40, bootId: '', pidNamespace: '' };
  const warn = (message: string): never => expect.fail(message);
  const journal = new Journal({ stateDir, owner, openedAt: 7, userId: process.getuid?.(), warn });
  const { bootId, pidNamespace } = owner;
  const record = { id: 'r1', pid: 41, startTime: '2', bootId, pidNamespace, group: true };
  const { startTime: _, ...unknown } = { ...record, id: 'r2', pid: 42 };
  for (const part of [record, unknown])
    journal.add({ ...part, kind: 'tool', command: '', cwd: '', startedAt: 0 });

  journal.identify({ ...owner, startTime: '1', bootId: 'fake-boot' });
  const { header, records } = readNow(journal.path);
  expect(header).toMatchObject({ owner: { startTime: '1', bootId: 'fake-boot' }, openedAt: 7 });
  expect([...records.values()]).toMatchObject([
    { id: 'r1', startTime: '2', bootId: 'fake-boot' },
    { id: 'r2', bootId: 'fake-boot' },
  ]);
  for (const id of records.keys()) journal.remove(id);
  journal.close();
  rmSync(stateDir, { recursive: true });
});

it('a host that cannot tell its boot judges nobody, says so, and tries again', async () => {
  using heir = new Heir('darwin');
  const leader = heir.os.add({ ppid: 1 });
  heir.journalOf({ startTime: '1' }, [leader]);
  const { identifyAsync } = heir.os;
  Object.assign(heir.os, { identifyAsync: async () => Promise.reject(new Error('no sysctl')) });
  const report = await heir.until(heir.supervisor.start());
  expect(report).toMatchObject({ recovered: [], unproven: [{ pid: 40 }] });
  expect(heir.eventsOf('warning')).toMatchObject([{ code: 'REGISTRY' }]);
  expect(heir.os.alive).toEqual([leader.pid]);

  Object.assign(heir.os, { identifyAsync });
  expect((await heir.until(heir.supervisor.sweep())).recovered).toEqual([OWNER]);
  expect(heir.os.alive).toEqual([]);
});

/** Reads a journal of our own in this tick: the next one may know more. */
function readNow(path: string) {
  const [first, ...rest] = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
  const changes = rest.map((line) => parseChange(line));
  const records = new Map(
    changes.flatMap((change) => (change && 'add' in change ? [[change.add.id, change.add]] : [])),
  );
  return { header: parseHeader(first), records, warnings: changes.filter((change) => !change) };
}
