// Which exit a rise of the kernel's counters belongs to, on counters in memory and on recorded files.
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { countersFor, OomKills, parseOomKills } from '../../../src/os/oom-kills.ts';

const MACHINE = '/proc/vmstat';

describe('countersFor', () => {
  it.each([
    [
      'v1',
      '9:name=systemd:/\n4:memory:/jobs/a\n1:cpu:/\n0::/\n',
      ['/sys/fs/cgroup/memory/jobs/a/memory.oom_control'],
      ['/sys/fs/cgroup/memory/memory.oom_control'],
    ],
    [
      'v1, with another controller on the same mount',
      '5:hugetlb,memory:/docker/0a1b\n2:name=memory-like:/x\n',
      ['/sys/fs/cgroup/memory/docker/0a1b/memory.oom_control'],
      ['/sys/fs/cgroup/memory/memory.oom_control'],
    ],
    ['v1, in the root group', '4:memory:/\n', [], ['/sys/fs/cgroup/memory/memory.oom_control']],
    [
      'v2',
      '0::/user.slice/user-1000.slice/session:1.scope\n',
      ['/sys/fs/cgroup/user.slice/user-1000.slice/session:1.scope/memory.events'],
      ['/sys/fs/cgroup/memory.events'],
    ],
    ['v2, in the root of a container', '0::/\n', [], ['/sys/fs/cgroup/memory.events']],
    ['no control groups', '', [], []],
  ])('%s', (_, cgroups, own, root) => {
    expect(countersFor(cgroups)).toEqual([...own, ...root, MACHINE]);
  });
});

describe('parseOomKills', () => {
  it.each([
    ['v1: memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n', 3],
    [
      'v2: memory.events',
      'low 0\nhigh 12\nmax 81\noom 2\noom_kill 1\noom_group_kill 0\nsock_throttled 0\n',
      1,
    ],
    ['/proc/vmstat', 'drop_pagecache 0\noom_kill 7\nnuma_pte_updates 0\n', 7],
    ['a kernel before 4.13', 'oom_kill_disable 0\nunder_oom 0\n', undefined],
    ['no file', '', undefined],
  ])('%s', (_, text, kills) => {
    expect(parseOomKills(text)).toBe(kills);
  });
});

/** Counters in memory; a process is in the group `a` unless it is moved. */
class Kernel {
  readonly clock = new FakeClock();
  readonly kills: Record<string, number> = { a: 4, b: 9 };
  readonly groups = new Map<number, string | undefined>();
  reads = 0;
  readonly oom = new OomKills(this.clock, {
    counterOf: (pid) => (this.groups.has(pid) ? this.groups.get(pid) : 'a'),
    read: (counter) => {
      this.reads++;
      return this.kills[counter];
    },
  });

  kill(group: string): void {
    this.kills[group] = (this.kills[group] ?? 0) + 1;
  }
}

describe('OomKills', () => {
  it('claims a kill in the group of the process, once', () => {
    const kernel = new Kernel();
    const watch = kernel.oom.watch(1);
    kernel.kill('a');
    expect([watch.claim(), watch.claim()]).toEqual([true, false]);
  });

  it('claims nothing while the counter stands, or is another group’s (control)', () => {
    const kernel = new Kernel();
    const watch = kernel.oom.watch(1);
    kernel.kill('b');
    expect(watch.claim()).toBe(false);
  });

  it('gives as many exits to the kernel as its counter rose', () => {
    const kernel = new Kernel();
    const watches = [1, 2, 3].map((pid) => kernel.oom.watch(pid));
    kernel.kill('a');
    kernel.kill('a');
    expect(watches.map((watch) => watch.claim())).toEqual([true, true, false]);
  });

  it('claims nothing where nobody counts', () => {
    const kernel = new Kernel();
    kernel.groups.set(1, undefined).set(2, 'unreadable');
    expect([1, 2].map((pid) => kernel.oom.watch(pid).claim())).toEqual([false, false]);
  });

  it('begins anew when nothing has been watched', () => {
    const kernel = new Kernel();
    kernel.oom.watch(1).stop();
    kernel.kill('a');
    expect(kernel.oom.watch(2).claim()).toBe(false);
  });

  it('follows a program that moves itself at its start, and keeps its first group', async () => {
    const kernel = new Kernel();
    const watch = kernel.oom.watch(1);
    kernel.groups.set(1, 'b');
    await kernel.clock.advance(50);
    kernel.kill('b');
    expect([watch.claim(), watch.claim()]).toEqual([true, false]);
    kernel.kill('a');
    expect(watch.claim()).toBe(true);
  });

  it('forgets a kill that no exit has followed', async () => {
    const kernel = new Kernel();
    const watch = kernel.oom.watch(1);
    await kernel.clock.advance(9000);
    kernel.kill('a');
    await kernel.clock.advance(9000);
    expect(watch.claim()).toBe(true);
    kernel.kill('a');
    await kernel.clock.advance(20_000);
    expect(watch.claim()).toBe(false);
  });

  it('reads a counter once for all that start, and not at all when nothing is watched', async () => {
    const kernel = new Kernel();
    const watches = Array.from({ length: 10 }, (_, pid) => kernel.oom.watch(pid));
    expect(kernel.reads).toBe(1);
    for (const watch of watches) watch.stop();
    await kernel.clock.advance(60_000);
    expect(kernel.reads).toBe(1);
  });
});
