// Which ends are the kernel's for want of memory, on the operating system in memory.
import { describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { ExitReport } from '../../../src/index.ts';
import { OomKills } from '../../../src/os/oom-kills.ts';

class Machine extends FakeSupervision {
  kills = 0;
  reads = 0;

  constructor() {
    super({ guardian: false, ladder: { stdinEofMs: 10, termMs: 20, killMs: 20 } });
    this.os.oomKills = new OomKills(this.os.clock, {
      counterOf: () => 'group',
      read: () => {
        this.reads++;
        return this.kills;
      },
    });
  }

  /** Ends a new process in the given way. */
  end(how: (pid: number) => void): Promise<ExitReport> {
    const process = this.spawn('a');
    how(process.pid as number);
    return this.until(process.exited);
  }
}

describe('a SIGKILL that nobody here has sent', () => {
  it('is the kernel’s while its counter rose', async () => {
    using machine = new Machine();
    const report = await machine.end((pid) => {
      machine.kills++;
      machine.os.die(pid, null, 'SIGKILL');
    });
    expect(report).toMatchObject({
      ...{ cause: 'memory', oomKilled: true, intentional: false },
      ...{ signal: 'SIGKILL', forced: false },
    });
  });

  it('is the kernel’s as the code of a shell, too', async () => {
    using machine = new Machine();
    const report = await machine.end((pid) => {
      machine.kills++;
      machine.os.die(pid, 137);
    });
    expect(report).toMatchObject({ cause: 'memory', oomKilled: true, code: 137 });
  });

  it('is a crash while the counter stands, or where there is none (control)', async () => {
    using machine = new Machine();
    const die = (pid: number) => machine.os.die(pid, null, 'SIGKILL');
    const counted = await machine.end(die);
    delete machine.os.oomKills;
    for (const report of [counted, await machine.end(die)]) {
      expect(report).toMatchObject({ cause: 'crashed', intentional: false });
      expect(report).not.toHaveProperty('oomKilled');
    }
  });

  it('is the kernel’s for one of two processes if it killed one', async () => {
    using machine = new Machine();
    const processes = [machine.spawn('a'), machine.spawn('b')];
    machine.kills++;
    for (const { pid } of processes) machine.os.die(pid as number, null, 'SIGKILL');
    const reports = await Promise.all(processes.map(({ exited }) => machine.until(exited)));
    expect(reports.map(({ cause }) => cause)).toEqual(['memory', 'crashed']);
  });
});

describe('a rise of the counter', () => {
  it('changes nothing about an end of ours', async () => {
    using machine = new Machine();
    machine.os.reactions = { EOF: 'ignore', SIGTERM: 'ignore' };
    const process = machine.spawn('a');
    machine.kills++;
    await machine.until(process.terminate());
    expect(await process.exited).toMatchObject({ cause: 'terminated', signal: 'SIGKILL' });
  });

  it.each([
    ['completed', 0, null],
    ['failed', 1, null],
    ['crashed', null, 'SIGSEGV'],
    ['terminated', null, 'SIGTERM'],
  ] as const)('is not looked for after an exit that is %s', async (cause, code, signal) => {
    using machine = new Machine();
    const report = await machine.end((pid) => {
      machine.kills++;
      machine.os.die(pid, code, signal);
    });
    expect(report.cause).toBe(cause);
    expect(machine.reads).toBe(1);
  });

  it('tells of an adopted process, whose end nobody saw', async () => {
    using machine = new Machine();
    const adopt = () => {
      const { pid } = machine.os.add({ ppid: 1 });
      return machine.until(machine.supervisor.adopt({ pid }));
    };
    const [killed, ended] = [await adopt(), await adopt()];
    machine.kills++;
    for (const { pid, exited } of [killed, ended]) {
      machine.os.die(pid as number);
      await machine.until(exited);
    }
    expect(await killed.exited).toMatchObject({ cause: 'memory', oomKilled: true, signal: null });
    expect(await ended.exited).toMatchObject({ cause: 'completed' });
  });
});

describe('a run', () => {
  it('starts its process again after the backoff, and counts it as a crash', async () => {
    using machine = new Machine();
    const run = machine.supervisor.run({ backoffMs: 1000, jitter: 0, maxRestarts: 2 }, () => {
      const process = machine.spawn('a');
      machine.kills++;
      machine.os.die(process.pid as number, null, 'SIGKILL');
      return process;
    });
    const { outcome, reports, restarts } = await machine.until(run.done);
    expect({ outcome, restarts }).toEqual({ outcome: 'same-crash', restarts: 2 });
    expect(reports.map(({ cause }) => cause)).toEqual(['memory', 'memory', 'memory']);
  });
});
