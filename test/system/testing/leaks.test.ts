// Processes that count as leaks, and those that do not.
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually, readRow } from '../../../kit/process-table.ts';
import { makeTempDir, removeTempDir } from '../../../kit/real-agent.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import { createSupervisor, getSupervisor } from '../../../src/index.ts';
import {
  createTestSupervisor,
  expectNoLeaks,
  FakeClock,
  fakeAgent,
  hang,
  LeakError,
  type LeakMatchers,
  matchers,
  misbehave,
  say,
  type TestSupervisor,
  type TestSupervisorOptions,
} from '../../../src/testing/index.ts';

expect.extend(matchers);
declare module 'vitest' {
  interface Matchers<R> extends LeakMatchers<R> {}
}

const LADDER = { stdinEofMs: 50, termMs: 200, killMs: 2000 };
const made: TestSupervisor[] = [];

function make(options: TestSupervisorOptions = {}): TestSupervisor {
  const supervisor = createTestSupervisor({ ladder: LADDER, ...options });
  made.push(supervisor);
  return supervisor;
}

afterEach(async () => {
  for (const supervisor of made.splice(0)) await supervisor.dispose();
});

const leaksOf = async (supervisor: TestSupervisor): Promise<LeakError> => {
  const error = await expectNoLeaks({ supervisor, graceMs: 0 }).catch((error: unknown) => error);
  if (error instanceof LeakError) return error;
  throw new Error(`no leak: ${JSON.stringify(error)}`);
};

const firstLine = async (process: { stdout: NodeJS.ReadableStream }): Promise<string> => {
  const [line] = await new Promise<string[]>((resolve) =>
    process.stdout.once('data', (data) => resolve(String(data).split('\n'))),
  );
  return line ?? '';
};

describe.runIf(CAN_WATCH)('expectNoLeaks', () => {
  it('finds nothing without supervisors', async () => {
    expect(await expectNoLeaks({ supervisor: make() })).toEqual({
      ...{ leaked: [], queued: [], kept: [] },
    });
  });

  it('names a plain child, its session, and how to end it', async () => {
    const supervisor = make();
    const process = supervisor.spawn({ ...misbehave.ignoresEof(), sessionId: 's' });
    await process.started;
    const { message, report } = await leaksOf(supervisor);
    expect(report.leaked).toMatchObject([{ pid: process.pid, id: process.id, sessionId: 's' }]);
    expect(message).toContain('1 live process and 0 queued requests were left behind');
    expect(message).toContain(`pid ${process.pid} node, of process ${process.id}, session "s"`);
    expect(message).toContain(`kill -KILL ${process.pid}`);
    await expect(leaksOf(supervisor)).resolves.toBeDefined();
  });

  it('finds a grandchild that has called setsid, also after its supervisor has stopped', async () => {
    const stateDir = await makeTempDir();
    const supervisor = createSupervisor({ stateDir, leftovers: 'keep' });
    const process = supervisor.spawn({ ...misbehave.leavesSetsidChild(), kind: 'tool' });
    const pid = Number((await firstLine(process)).slice('ready '.length));
    await process.exited;
    const kept = { pid, command: 'node' };
    expect(await expectNoLeaks()).toMatchObject({ leaked: [], kept: [kept] });
    await supervisor.stop();
    expect(await expectNoLeaks()).toMatchObject({ kept: [kept] });
    globalThis.process.kill(pid, 'SIGKILL');
    await eventually(() => readRow(pid) === undefined);
    await removeTempDir(stateDir);
  });

  it('finds a child that has lost its environment, by its tree', async () => {
    const supervisor = make();
    const script = 'env -i sh -c "echo ready; exec sleep 60" & wait';
    const process = supervisor.spawn({ command: 'sh', args: ['-c', script], kind: 'tool' });
    await firstLine(process);
    const { report } = await leaksOf(supervisor);
    expect(report.leaked).toHaveLength(2);
    expect(report.leaked.map(({ id }) => id)).toEqual([process.id, process.id]);
  });

  it('finds a request that waits for a slot', async () => {
    const supervisor = make({ pool: { concurrency: 1 } });
    const lease = await supervisor.acquire();
    supervisor.spawn({ ...misbehave.ignoresEof(), sessionId: 'late' });
    const { report, message } = await leaksOf(supervisor);
    expect(report).toMatchObject({ leaked: [], queued: [{ sessionId: 'late' }] });
    expect(message).toMatch(/queued for \d+ ms, session "late"/);
    await supervisor.reapSession('late');
    lease.release();
    await expectNoLeaks({ supervisor });
  });

  it('reports a process that outlives its host as kept, and not as a leak', async () => {
    const supervisor = make();
    const process = supervisor.spawn({
      ...misbehave.ignoresEof(),
      kind: 'daemon',
      outlivesHost: true,
    });
    await process.started;
    const { kept } = await expectNoLeaks({ supervisor });
    expect(kept).toMatchObject([{ pid: process.pid, id: process.id }]);
    expect(await supervisor.dispose()).toMatchObject({ leaked: [], kept: [] });
    expect(readRow(process.pid ?? 0)).toBeUndefined();
  });

  it('waits for a process that is just ending', async () => {
    const supervisor = make();
    const process = supervisor.spawn(misbehave.exitsWith(0));
    await process.started;
    await expectNoLeaks({ supervisor, graceMs: 20_000 });
  });

  it('works as a matcher', async () => {
    const supervisor = make();
    await expect(supervisor).toHaveNoLiveProcesses();
    await supervisor.spawn(misbehave.ignoresSigterm()).started;
    await expect(supervisor).not.toHaveNoLiveProcesses();
    const failing = expect(supervisor).toHaveNoLiveProcesses();
    await expect(failing).rejects.toThrow('1 live process');
  });

  it.each([undefined, {}, misbehave])(
    'refuses, as a matcher, anything but a supervisor: %j',
    async (no) => {
      await expect(expect(no).toHaveNoLiveProcesses()).rejects.toThrow('must be a supervisor');
      await expect(expect(no).not.toHaveNoLiveProcesses()).rejects.toThrow('must be a supervisor');
    },
  );

  it('refuses unknown options', async () => {
    await expect(expectNoLeaks({ grace: 1 } as never)).rejects.toThrow('unknown option "grace"');
    await expect(expectNoLeaks({ supervisor: {} as never })).rejects.toThrow(
      'must be a supervisor',
    );
  });
});

describe.runIf(CAN_WATCH)('createTestSupervisor', () => {
  it('has its own folder, removed with all its processes', async () => {
    const supervisor = make();
    const process = supervisor.spawn(misbehave.ignoresSigterm());
    await process.started;
    expect(existsSync(supervisor.stateDir)).toBe(true);
    expect(await supervisor.dispose()).toEqual({ leaked: [], queued: [], kept: [] });
    expect(readRow(process.pid ?? 0)).toBeUndefined();
    expect(existsSync(supervisor.stateDir)).toBe(false);
    await expect(supervisor.dispose()).resolves.toBeDefined();
  });

  it('is returned by getSupervisor(), and keeps its own folder', async () => {
    const before = getSupervisor();
    const supervisor = make({ asSingleton: true });
    expect(getSupervisor()).toBe(supervisor);
    expect(getSupervisor({ stateDir: '/nowhere', pool: { concurrency: 1 } })).toBe(supervisor);
    expect(await supervisor.start()).toMatchObject({ stateDir: supervisor.stateDir });
    expect(supervisor.internals.snapshot().pool.concurrency).toBe(1);
    expect(() => make({ asSingleton: true })).toThrow('another test supervisor is the singleton');
    await supervisor.dispose();
    expect(getSupervisor()).toBe(before);
  });

  it('is returned by getSupervisor() even while in use', async () => {
    const supervisor = make({ asSingleton: true, pool: { concurrency: 1 } });
    await supervisor.start();
    expect(getSupervisor({ pool: { concurrency: 3 } })).toBe(supervisor);
    expect(getSupervisor({ pool: { concurrency: 4 } })).toBe(supervisor);
    expect(supervisor.internals.snapshot().pool.concurrency).toBe(1);
  });

  it('starts no process for an agent, with real slots, sessions and events', async () => {
    const agent = fakeAgent([say('Hi.'), hang()]);
    const supervisor = make({ agent, pool: { concurrency: 1 } });
    const args = ['--input-format', 'stream-json'];
    const hook = supervisor.spawnHook({ sessionId: 's' });
    const [first, second] = [hook({ command: 'claude', args }), hook({ command: 'claude', args })];
    await first.started;
    expect(supervisor.list()).toMatchObject([{ id: first.id, sessionId: 's', state: 'running' }]);
    expect(supervisor.session('s')).toMatchObject({ live: 1 });
    expect(second.pid).toBeUndefined();
    first.stdin.write(`${JSON.stringify({ type: 'user', message: { content: 'x' } })}\n`);
    await firstLine(first);
    expect((await leaksOf(supervisor)).report).toMatchObject({
      leaked: [{ pid: first.pid, command: 'fake-agent', sessionId: 's' }],
      queued: [{ sessionId: 's' }],
    });
    expect((await first.terminate()).ended).toMatchObject([{ code: 143, cause: 'terminated' }]);
    await second.started;
    second.stdin.end();
    expect(await second.exited).toMatchObject({ code: 0, cause: 'completed', leftovers: [] });
    expect(agent.calls.map(({ command }) => command)).toEqual(['claude', 'claude']);
  });

  it('starts real processes for other commands', async () => {
    const supervisor = make({ agent: fakeAgent([]) });
    const process = supervisor.spawn(misbehave.ignoresEof());
    await process.started;
    expect(readRow(process.pid ?? 0)?.ppid).toBe(globalThis.process.pid);
  });

  it('uses the clock of the test', async () => {
    const clock = new FakeClock();
    const supervisor = make({ clock, session: { maxWallClockMs: 3_600_000 } });
    const process = supervisor.spawn({ ...misbehave.ignoresEof(), sessionId: 's' });
    await process.started;
    const expired = new Promise((resolve) => supervisor.on('session-expired', resolve));
    await clock.advance(3_600_001);
    expect(await expired).toMatchObject({ sessionId: 's' });
    await supervisor.dispose();
    expect(await process.exited).toMatchObject({ cause: 'wall-clock' });
  });

  it('refuses unknown options, and leaves no folder', () => {
    const folders = (): string[] =>
      readdirSync(tmpdir()).filter((name) => name.startsWith('agent-supervisor-test-'));
    const before = folders();
    expect(() => make({ color: 1 } as never)).toThrow('unknown option "color"');
    expect(() => make({ asSingelton: true } as never)).toThrow(/Known here: .*, asSingleton,/);
    expect(() => createTestSupervisor(null as never)).toThrow('"options" is null, but must be');
    expect(() => make({ agent: 5 } as never)).toThrow('must be a fakeAgent');
    expect(() => make({ agent: fakeAgent } as never)).toThrow('must be a fakeAgent');
    expect(() => make({ clock: {} } as never)).toThrow('must be a clock');
    expect(folders().filter((name) => !before.includes(name))).toEqual([]);
  });
});
