// Every program really misbehaves, and exits by itself in the end.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually, readRow } from '../../../kit/process-table.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';
import type { SpawnRequest, SupervisedProcess } from '../../../src/index.ts';
import {
  createTestSupervisor,
  misbehave,
  type Program,
  type TestSupervisor,
} from '../../../src/testing/index.ts';

const LADDER = { stdinEofMs: 200, termMs: 300, killMs: 2000 };

let supervisor: TestSupervisor;
beforeEach(() => {
  supervisor = createTestSupervisor({ ladder: LADDER });
});
afterEach(() => supervisor.dispose());

interface Running {
  readonly process: SupervisedProcess;
  /** The pid that it prints. */
  readonly pid: number;
  line(start: string): Promise<string>;
}

async function run(program: Program, request: Partial<SpawnRequest> = {}): Promise<Running> {
  const process = supervisor.spawn({ ...program, kind: 'tool', ...request });
  const lines: string[] = [];
  createInterface({ input: process.stdout }).on('line', (line) => lines.push(line));
  const line = (start: string) => eventually(() => lines.find((one) => one.startsWith(start)));
  return { process, pid: Number((await line('ready ')).slice('ready '.length)), line };
}

describe.runIf(CAN_WATCH)('misbehave', () => {
  it('ignoresSigterm: only SIGKILL ends it', async () => {
    const { process, pid } = await run(misbehave.ignoresSigterm());
    expect(pid).toBe(process.pid);
    const { ended } = await process.terminate();
    expect(ended).toMatchObject([{ forced: true, signal: 'SIGKILL' }]);
  });

  it('ignoresEof: SIGTERM ends it', async () => {
    const { process } = await run(misbehave.ignoresEof());
    const { ended } = await process.terminate();
    expect(ended).toMatchObject([{ forced: false, signal: 'SIGTERM' }]);
  });

  it.each(['leavesSetsidChild', 'doubleForks'] as const)('%s: out of its group', async (name) => {
    const { process, pid } = await run(misbehave[name](), { leftovers: 'keep' });
    const { code, leftovers } = await process.exited;
    expect({ code, left: leftovers.map((left) => left.pid) }).toEqual({ code: 0, left: [pid] });
    const row = readRow(pid);
    expect(row?.sid).toBe(pid);
    expect(row?.ppid).not.toBe(process.pid);
  });

  it('forksWhileDying: its new child is found', async () => {
    const { process, line } = await run(misbehave.forksWhileDying());
    const ending = process.terminate();
    const forked = Number((await line('forked ')).slice('forked '.length));
    expect(await ending).toMatchObject({ survivors: [] });
    expect(readRow(forked)).toBeUndefined();
  });

  it('holdsStdout: a child in its group holds its stdout', async () => {
    const { process, pid } = await run(misbehave.holdsStdout(), { leftovers: 'keep' });
    const { leftovers } = await process.exited;
    expect(leftovers.map((left) => left.pid)).toEqual([pid]);
    expect(readRow(pid)?.pgid).toBe(process.pid);
  });

  it('floodsStderr: writes exactly that many bytes', async () => {
    let bytes = 0;
    const { process } = await run(misbehave.floodsStderr({ bytes: 300_000 }), {
      onSpawn: ({ stderr }) =>
        stderr.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
        }),
    });
    await eventually(() => bytes >= 300_000);
    expect((await process.terminate()).ended[0]?.stderrTail).toMatch(/noise/);
    expect(bytes).toBe(300_000);
  });

  it('neverReady: prints nothing', async () => {
    const process = supervisor.spawn({
      ...misbehave.neverReady(),
      limits: { startupMs: 400 },
    });
    expect(await process.exited).toMatchObject({ cause: 'startup' });
  });

  it('eatsMemory: the memory is resident', async () => {
    await run(misbehave.eatsMemory({ bytes: 64 * 2 ** 20 }));
    expect((await supervisor.inspect())[0]?.rssBytes).toBeGreaterThan(64 * 2 ** 20);
  });

  it('spins: uses processor time', async () => {
    const { pid } = await run(misbehave.spins());
    const ticks = (): number =>
      Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[11]);
    const before = ticks();
    await eventually(() => ticks() > before + 10);
  });

  it('exitsWith: exits with the code', async () => {
    const { process } = await run(misbehave.exitsWith(7));
    expect(await process.exited).toMatchObject({ code: 7, cause: 'failed' });
  });

  it.each(['SIGSEGV', 'SIGKILL', 'SIGTERM'] as const)('diesBy: %s', async (signal) => {
    const { process } = await run(misbehave.diesBy(signal));
    expect(await process.exited).toMatchObject({ code: null, signal });
  });

  it('zombie: its child is dead, and never reaped', async () => {
    const { pid } = await run(misbehave.zombie());
    const state = (): string | undefined =>
      readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0];
    await eventually(() => state() === 'Z');
    expect(readRow(pid)).toBeUndefined();
  });

  const BOUNDED = [
    ...(['ignoresSigterm', 'ignoresEof', 'leavesSetsidChild', 'doubleForks'] as const),
    ...(['forksWhileDying', 'holdsStdout', 'floodsStderr', 'eatsMemory', 'spins'] as const),
    ...(['neverReady', 'zombie'] as const),
  ];
  it.each(BOUNDED)('%s exits by itself', async (name) => {
    const process = supervisor.spawn({ ...misbehave[name]({ liveMs: 400 }), leftovers: 'keep' });
    process.stdout.resume();
    const { leftovers } = await process.exited;
    await eventually(() => leftovers.every(({ pid }) => readRow(pid) === undefined));
  });

  it.each([
    [() => misbehave.spins({ liveMs: -1 }), 'misbehave.spins: "liveMs" is -1'],
    [() => misbehave.eatsMemory({ byte: 1 } as never), 'unknown option "byte"'],
    [() => misbehave.exitsWith(256), 'misbehave.exitsWith: "code" is 256'],
    [() => misbehave.diesBy('TERM' as never), 'must be a signal'],
    [() => misbehave.diesBy('SIGFOO' as never), '"signal" is "SIGFOO", but must be a signal'],
    [() => misbehave.eatsMemory({ bytes: 0 }), '"bytes" is 0, but must be at least 1'],
    [() => misbehave.floodsStderr(null as never), '"options" is null, but must be object'],
  ])('refuses what makes no sense: %s', (make, message) => {
    expect(make).toThrow(message);
  });
});
