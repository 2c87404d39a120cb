// What a guardian may end of a dead host's on a system with neither groups nor environments.
import { describe, expect, it } from 'vitest';
import { FakeOs, HOST_PID } from '../../../kit/fake-os.ts';
import { HostRemains } from '../../../src/containment/host-remains.ts';

const DEAD_HOST = 40;
const GRACE = { politeMs: 100, forcedMs: 100 };

function remainsOn(os: FakeOs, tag?: string) {
  const remains = new HostRemains(os, { owner: 'DeadOwnerOfTests', hostPid: DEAD_HOST, tag });
  return { remains, end: () => os.clock.until(remains.end(GRACE)) };
}

describe('on Windows, of a dead host', () => {
  it('a registered tree is ended by force', async () => {
    const os = new FakeOs('win32');
    const leader = os.add({ ppid: DEAD_HOST });
    os.fork(os.fork(leader.pid).pid);
    const stranger = os.add();
    const { remains, end } = remainsOn(os);
    remains.register(leader.pid, leader.startTime);
    expect(await end()).toEqual({ survivors: [], forced: true });
    expect(os.alive).toEqual([stranger.pid]);
    expect(os.log.filter((line) => line.startsWith('SIG'))).toEqual([]);
  });

  it('what a leader left that died with its host is ended', async () => {
    const os = new FakeOs('win32');
    const leader = os.add({ ppid: DEAD_HOST });
    os.fork(os.fork(leader.pid).pid);
    const { remains, end } = remainsOn(os);
    remains.register(leader.pid, leader.startTime);
    os.die(leader.pid);
    await end();
    expect(os.alive).toEqual([]);
  });

  it('a process that began before its parent is somebody else’s', async () => {
    const os = new FakeOs('win32');
    const leader = os.add({ ppid: DEAD_HOST });
    const older = os.add({ ppid: leader.pid, startTime: '999' });
    const { remains, end } = remainsOn(os);
    remains.register(leader.pid, leader.startTime);
    os.die(leader.pid);
    await end();
    expect(os.alive).toEqual([older.pid]);
  });

  it('a number that somebody else has now is left alone, with all below it', async () => {
    const os = new FakeOs('win32');
    const other = os.add({ ppid: 1 });
    const below = os.fork(other.pid);
    const { remains, end } = remainsOn(os);
    remains.register(other.pid, '1');
    await end();
    expect(os.alive).toEqual([other.pid, below.pid]);
  });

  it.each([
    ['is ended if it names the host as its parent', DEAD_HOST, true],
    ['is left alone if it names another', HOST_PID, false],
  ])('a process whose start time was not yet told %s', async (_what, ppid, isEnded) => {
    const os = new FakeOs('win32');
    const { pid } = os.add({ ppid });
    const { remains, end } = remainsOn(os);
    remains.register(pid, undefined);
    await end();
    expect(os.alive).toEqual(isEnded ? [] : [pid]);
  });

  it('nobody is ended while no look is to be had', async () => {
    const os = new FakeOs('win32');
    const leader = os.add({ ppid: DEAD_HOST });
    const { remains, end } = remainsOn(os);
    remains.register(leader.pid, leader.startTime);
    os.lookError = new Error('no PowerShell');
    await end();
    expect(os.log).toEqual([]);
    expect(os.alive).toEqual([leader.pid]);
  });
});

describe('on a Unix without a shell, of a dead host', () => {
  it('each process gets one polite signal, however many ways lead to it, and then a forced one', async () => {
    const os = new FakeOs();
    const cookie = 'DeadOwnerOfTests.1';
    const on = { SIGTERM: 'ignore' } as const;
    const leader = os.add({ ppid: 1, cookie, on });
    const away = os.add({ ppid: leader.pid, cookie, on });
    const { remains, end } = remainsOn(os);
    remains.register(leader.pid, leader.startTime);
    expect(await end()).toEqual({ survivors: [], forced: true });
    expect(os.received(leader)).toEqual(['SIGTERM', 'SIGCONT', 'SIGKILL']);
    expect(os.received(away)).toEqual(['SIGTERM', 'SIGCONT', 'SIGKILL']);
    expect(os.clock.monotonicMs()).toBeLessThan(GRACE.politeMs + GRACE.forcedMs);
  });

  it('a cookie that no look has shown before is followed as well', async () => {
    const os = new FakeOs();
    const first = os.add({ ppid: 1, cookie: 'DeadOwnerOfTests.1', on: { SIGTERM: 'ignore' } });
    os.afterLook = () => {
      if (os.looks === 2) os.add({ ppid: 1, cookie: 'DeadOwnerOfTests.2' });
    };
    await remainsOn(os).end();
    expect(os.received(first)).toEqual(['SIGTERM', 'SIGCONT', 'SIGKILL']);
    expect(os.alive).toEqual([]);
  });

  const OWN = '12345678901';
  const odd = `91${OWN}000001`;
  const even = `90${OWN}000001`;

  it.each([
    ['of its owner’s', [odd]],
    ['beside an outer supervisor’s', ['9199999999999000001', odd]],
  ])('a tag %s proves a process that lost its cookie, and what it forks', async (_what, tags) => {
    const os = new FakeOs();
    const bearer = os.add({ ppid: 1, tags });
    os.fork(bearer.pid);
    const { end } = remainsOn(os, OWN);
    expect(await end()).toEqual({ survivors: [], forced: false });
    expect(os.alive).toEqual([]);
  });

  it.each([
    ['of another owner', { tags: ['9199999999999000001'] }],
    ['that says kept', { tags: [even] }],
    ['beside one that says kept', { tags: [odd, even] }],
    ['that is too long', { tags: [`${odd}0`] }],
    ['against a cookie that says kept', { tags: [odd], cookie: 'Inner.1.kept' }],
    ['against its own cookie that says kept', { tags: [odd], cookie: 'DeadOwnerOfTests.1.kept' }],
  ])('a tag %s proves nothing', async (_what, bearer) => {
    const os = new FakeOs();
    const { pid } = os.add({ ppid: 1, ...bearer });
    await remainsOn(os, OWN).end();
    expect(os.alive).toEqual([pid]);
  });

  it('a cookie proves a process whatever its tag says', async () => {
    const os = new FakeOs();
    os.add({ ppid: 1, tags: [even], cookie: 'DeadOwnerOfTests.1' });
    await remainsOn(os, OWN).end();
    expect(os.alive).toEqual([]);
  });

  it('tags prove nothing for an owner that has none', async () => {
    const os = new FakeOs();
    const { pid } = os.add({ ppid: 1, tags: [odd] });
    await remainsOn(os).end();
    expect(os.alive).toEqual([pid]);
  });

  it('no ancestor of the guardian is ended, whatever it bears', async () => {
    const os = new FakeOs();
    const parent = os.add({ ppid: 1, tags: [odd] });
    os.get(HOST_PID).ppid = parent.pid;
    await remainsOn(os, OWN).end();
    expect(os.alive).toEqual([parent.pid]);
  });
});
