// Processes that others launch on a lease: slot, session, conversation, budget and containment are ours.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { endByIdentity, eventually, readRow } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { Launch, LaunchOptions, SlotLease, Supervisor } from '../../../src/index.ts';

/** A program that leaves two descendants: one that left its session, and one that lost its environment too. */
const PROGRAM = `#!/bin/sh
setsid sleep 300 & one=$!
env -i /usr/bin/env setsid sleep 300 & two=$!
echo $$ $one $two > "$PIDS.new" && mv "$PIDS.new" "$PIDS"
exec sleep 300
`;

const isAlive = (pid: number): boolean => readRow(pid) !== undefined;
const running = ({ internals }: Supervisor) => internals.snapshot().pool.held;

const it = base.extend('area', ({ home, marker }) => {
  const program = join(home, 'program.sh');
  const pidFile = join(home, 'pids');
  writeFileSync(program, PROGRAM, { mode: 0o755 });
  const env = { PATH: process.env['PATH'], [MARKER]: marker, PIDS: pidFile };
  return {
    env,
    launch: (lease: SlotLease, options: LaunchOptions = {}) => lease.launch({ env, ...options }),
    /** Starts the program as somebody else would; resolves to the pids of its tree. */
    async start({ env, prefix }: Pick<Launch, 'env' | 'prefix'>) {
      const [file = '', ...args] = [...prefix, program];
      const child = spawn(file, args, { env, stdio: 'ignore' });
      const pids = await eventually(() => {
        try {
          return readFileSync(pidFile, 'utf8').trim().split(' ').map(Number);
        } catch {
          return false;
        }
      });
      rmSync(pidFile);
      // Until then they are forks of the program, with its session and its environment.
      const rows = await eventually(() => {
        const found = pids.flatMap((pid) => readRow(pid) ?? []);
        return found.every(({ command }) => command === 'sleep') && found;
      });
      onTestFinished(() => endByIdentity(rows));
      return { child, pid: child.pid as number, pids };
    },
  };
});

const dead = (pids: readonly number[]) =>
  eventually(() => !pids.some(isAlive), { what: 'all are dead' });
const end = ({ pid }: Pick<ChildProcess, 'pid'>) => process.kill(pid as number, 'SIGKILL');

describe.runIf(CAN_WATCH)('what others launch on a lease', { timeout: 60_000 }, () => {
  it('is listed with its session, and its whole tree is ended', async ({ supervise, area }) => {
    const supervisor = supervise();
    const lease = await supervisor.acquire({ sessionId: 's' });
    const { pid, pids } = await area.start(await area.launch(lease, { kind: 'codex' }));
    const agent = await lease.adopt({ pid });
    expect(agent.pid).toBe(pid);
    expect(supervisor.list()).toMatchObject([
      { pid, kind: 'codex', sessionId: 's', holdsSlot: true, state: 'running' },
    ]);
    const { survivors } = await agent.terminate();
    expect(survivors).toEqual([]);
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    expect(await agent.exited).toMatchObject({ cause: 'terminated', sessionId: 's' });
    lease.release();
    expect(running(supervisor)).toBe(0);
  });

  it.for([
    ['dies with its lease, whatever it did', true],
    ['without the prefix loses who cleared its environment (control)', false],
  ] as const)('%s', async ([, isTagged], { supervise, area }) => {
    const lease = await supervise().acquire();
    const { env, prefix } = await area.launch(lease);
    const { child, pids } = await area.start({ env, prefix: isTagged ? prefix : [] });
    const [root = 0, setsid = 0, cleared = 0] = pids;
    end(child);
    await dead([root]);
    await lease[Symbol.asyncDispose]();
    expect([setsid, cleared].map(isAlive)).toEqual([false, !isTagged]);
  });

  it('takes its leftovers with it when it dies by itself; then the slot is free', async ({
    supervise,
    area,
  }) => {
    const supervisor = supervise({ pool: { concurrency: 1 } });
    const lease = await supervisor.acquire();
    const { child, pid, pids } = await area.start(await area.launch(lease));
    const agent = await lease.adopt({ pid });
    lease.release();
    expect(running(supervisor)).toBe(1);
    end(child);
    const { leftovers, cause } = await agent.exited;
    expect(leftovers.map((left) => left.pid).sort()).toEqual(pids.slice(1).sort());
    expect(cause).toBe('completed');
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    expect(running(supervisor)).toBe(0);
  });

  it('is found by its marks where its pid is unknown', async ({ supervise, area }) => {
    const supervisor = supervise();
    const lease = await supervisor.acquire();
    const marks = await area.launch(lease);
    const adopting = lease.adopt();
    const { pid } = await area.start(marks);
    expect((await adopting).pid).toBe(pid);
  });

  it('runs one after the other on a lease, which is free after an adoption that failed', async ({
    supervise,
    area,
  }) => {
    const supervisor = supervise();
    const lease = await supervisor.acquire();
    await area.launch(lease);
    expect(() => lease.spawn({ command: 'true' })).toThrow('still holds a live process');
    await expect(lease.launch()).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    for (const pid of [process.pid, process.ppid, 2 ** 22 + 1])
      await expect(lease.adopt({ pid })).rejects.toMatchObject({ code: 'NOT_ADOPTABLE' });
    await expect(lease.adopt({ timeoutMs: 60 })).rejects.toMatchObject({
      code: 'NOT_ADOPTABLE',
      message: expect.stringContaining('no process bears its marks after 60 ms'),
    });
    expect((await lease.spawn({ command: 'true' }).exited).cause).toBe('completed');
    lease.release();
    await expect(lease.launch()).rejects.toThrow('has been released');
  });

  it('that has ended before its adoption takes its leftovers with it', async ({
    supervise,
    area,
  }) => {
    const lease = await supervise().acquire();
    const { child, pids } = await area.start(await area.launch(lease));
    end(child);
    await dead([pids[0] as number]);
    await expect(lease.adopt()).rejects.toMatchObject({
      code: 'NOT_ADOPTABLE',
      message: expect.stringContaining('its process has ended already'),
    });
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    expect((await lease.spawn({ command: 'true' }).exited).cause).toBe('completed');
  });

  it('is left alone by sweeps before its adoption, and ended after its lease', async ({
    supervise,
    area,
  }) => {
    const supervisor = supervise();
    const lease = await supervisor.acquire();
    const marks = await area.launch(lease);
    const { pids } = await area.start(marks);
    expect((await supervisor.sweep()).orphans).toEqual([]);
    expect(pids.map(isAlive)).toEqual([true, true, true]);
    const agent = await lease.adopt();
    await agent.terminate();
    lease.release();
    const late = await area.start(marks);
    expect((await supervisor.sweep()).orphans.map(({ pid }) => pid)).toContain(late.pid);
    await dead(late.pids);
  });

  it.for([
    ['its session is reaped', (supervisor: Supervisor) => supervisor.reapSession('s')],
    ['the supervisor stops', (supervisor: Supervisor) => supervisor.stop()],
    ['its lease is disposed', (_: Supervisor, lease: SlotLease) => lease[Symbol.asyncDispose]()],
  ] as const)('and nobody has adopted is dead when %s', async ([, act], { supervise, area }) => {
    const supervisor = supervise();
    const lease = await supervisor.acquire({ sessionId: 's' });
    const { pids } = await area.start(await area.launch(lease));
    await act(supervisor, lease);
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    expect(running(supervisor)).toBe(0);
  });

  it('and nobody has adopted holds the slot of a released lease until it is dead', async ({
    supervise,
    area,
  }) => {
    const supervisor = supervise();
    const lease = await supervisor.acquire();
    const { child, pids } = await area.start(await area.launch(lease));
    lease.release();
    await eventually(() => supervisor.list().length === 1);
    expect(running(supervisor)).toBe(1);
    end(child);
    await dead(pids);
    await eventually(() => running(supervisor) === 0);
  });

  it('counts to the hard cap, and has the rules of its session', async ({ supervise, area }) => {
    const budget = { perSessionUsd: 1, endRunning: true };
    const supervisor = supervise({ pool: { concurrency: 1, hardCap: 1 }, budget });
    const lease = await supervisor.acquire({ sessionId: 's' });
    const { pids } = await area.start(await area.launch(lease));
    const agent = await lease.adopt();
    const { error } = await supervisor.spawn({ command: 'true', kind: 'tool' }).exited;
    expect(error?.code).toBe('HARD_CAP');
    supervisor.charge('s', { usd: 2 });
    expect(await agent.exited).toMatchObject({ cause: 'budget' });
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    await expect(area.launch(lease)).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' });
    await expect(lease.launch({ args: [] } as object)).rejects.toThrow('args');
  });

  it('has its conversation alone, on all hosts', async ({ supervise, area }) => {
    const [own, other] = [supervise(), supervise()];
    const conversationId = randomUUID();
    const lease = await own.acquire();
    const { pids } = await area.start(await area.launch(lease, { conversationId }));
    const agent = await lease.adopt();
    const refused = await other.spawn({ command: 'true', conversationId }).exited;
    expect(refused.error?.code).toBe('CONVERSATION_BUSY');
    const later = other.spawn({ command: 'true', conversationId, onDuplicate: 'wait' });
    const next = await own.acquire();
    const launched = area.launch(next, { conversationId, onDuplicate: 'replace' });
    expect(await agent.exited).toMatchObject({ cause: 'duplicate' });
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    await launched;
    next.release();
    expect((await later.exited).cause).toBe('completed');
  });
});
