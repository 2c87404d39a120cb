// What becomes of a signal to a process that is not our child, on systems in memory: some tell at
// once whether it is still there, on the others only a look does.
import { describe, expect, it } from 'vitest';
import type { FakeProcess } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { SupervisedProcess } from '../../../src/index.ts';
import type { Platform } from '../../../src/os/os.ts';

const LADDER = { stdinEofMs: 10, termMs: 20, killMs: 20 };

class Adoption extends FakeSupervision {
  readonly stranger: FakeProcess;

  constructor(platform: Platform, on: FakeProcess['on'] = {}) {
    super({ ladder: LADDER }, platform);
    this.stranger = this.os.add({ ppid: 1, on });
  }

  adopt(): Promise<SupervisedProcess> {
    return this.until(this.supervisor.adopt({ pid: this.stranger.pid }));
  }
}

describe('kill', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'by %s of one that is gone does nothing, and is no cause of its end',
    async (signal) => {
      using host = new Adoption('linux');
      const process = await host.adopt();
      host.os.die(host.stranger.pid);
      const { startTime } = host.os.add({ pid: host.stranger.pid });
      expect([process.kill(signal), process.killed]).toEqual([false, false]);
      const report = await host.until(process.exited);
      expect(report).toMatchObject({ cause: 'completed', intentional: false, forced: false });
      expect(host.os.get(host.stranger.pid).startTime).toBe(startTime);
      expect(host.os.log).toEqual([]);
    },
  );

  it.each([
    ['linux', 'SIGTERM', ['SIGTERM'], false],
    ['linux', 'SIGKILL', ['SIGKILL'], true],
    ['darwin', 'SIGTERM', ['SIGTERM'], false],
    ['darwin', 'SIGKILL', ['SIGKILL'], true],
    ['win32', 'SIGTERM', ['SIGKILL'], true],
  ] as const)('on %s by %s ends one that is there', async (platform, signal, received, forced) => {
    using host = new Adoption(platform);
    const process = await host.adopt();
    expect([process.kill(signal), process.killed]).toEqual([true, true]);
    expect(await host.until(process.exited)).toMatchObject({ cause: 'terminated', forced });
    expect(host.os.received(host.stranger)).toEqual(received);
    expect(host.os.alive).toEqual([]);
  });

  it('where only a look can tell signals nobody who has taken its number', async () => {
    using host = new Adoption('darwin');
    const process = await host.adopt();
    host.os.die(host.stranger.pid);
    const other = host.os.add({ pid: host.stranger.pid });
    expect(process.kill('SIGKILL')).toBe(true);
    expect(await host.until(process.exited)).toMatchObject({ forced: false });
    expect(host.os.received(other)).toEqual([]);
  });

  it('with any other signal there does nothing', async () => {
    using host = new Adoption('darwin');
    const process = await host.adopt();
    expect(process.kill('SIGUSR1')).toBe(false);
    expect(host.os.log).toEqual([]);
    await host.until(host.supervisor.stop());
  });
});
