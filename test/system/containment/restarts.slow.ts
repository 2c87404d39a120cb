// Runs of real processes, ended by real signals, in hosts that die.
import { describe, expect } from 'vitest';
import { type Area, it as base, CAN_CONTAIN, LADDER } from '../../../kit/containment.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import {
  createSupervisor,
  type RunAttempt,
  type RunOptions,
  type SpawnRequest,
  type SupervisedProcess,
  type Supervisor,
} from '../../../src/index.ts';

const SHORT = { backoffMs: 10, maxBackoffMs: 40 };
const SLEEP = 'echo ready; exec sleep 300';

const it = base.extend('supervisor', async ({ area }, { onCleanup }) => {
  const supervisor = createSupervisor({ stateDir: area.stateDir, ladder: LADDER });
  onCleanup(async () => void (await supervisor.stop()));
  await supervisor.start();
  return supervisor;
});

/** A run of shell scripts: the n-th attempt runs the n-th, the last one for ever. */
function series(
  area: Area,
  supervisor: Supervisor,
  scripts: readonly string[],
  options: RunOptions = {},
) {
  const processes: SupervisedProcess[] = [];
  const start = ({ attempt, signal }: RunAttempt): SupervisedProcess => {
    const script = scripts[Math.min(attempt, scripts.length) - 1] ?? '';
    const process = supervisor.spawn(shell(area, script, { signal }));
    processes.push(process);
    return process;
  };
  return { processes, run: supervisor.run({ ...SHORT, ...options }, start) };
}

const shell = (area: Area, script: string, more: Partial<SpawnRequest> = {}): SpawnRequest => ({
  command: 'sh',
  args: ['-c', script],
  env: area.env,
  kind: 'tool',
  ...more,
});

const saysReady = (process: SupervisedProcess | undefined) =>
  new Promise((resolve) => process?.stdout.once('data', resolve));

/** The very process, and nobody who has its number later. */
function rowOf(process: SupervisedProcess | undefined) {
  const row = readRow(process?.pid ?? 0);
  if (row === undefined) throw new Error('it does not run');
  return row;
}

describe.runIf(CAN_CONTAIN)('a run of real processes', () => {
  it('starts again what crashes until it completes', async ({ area, supervisor }) => {
    const delays: number[] = [];
    supervisor.on('restarting', ({ delayMs }) => delays.push(delayMs));
    const scripts = ['exit 1', 'kill -SEGV $$', 'kill -KILL $$', 'exit 7', 'exit 0'];
    const { run, processes } = series(area, supervisor, scripts, { jitter: 0 });
    const { outcome, restarts, reports } = await run.done;
    expect({ outcome, restarts }).toEqual({ outcome: 'completed', restarts: 4 });
    expect(reports.map(({ code, signal, cause }) => [code ?? signal, cause])).toEqual([
      [1, 'failed'],
      ['SIGSEGV', 'crashed'],
      ['SIGKILL', 'crashed'],
      [7, 'failed'],
      [0, 'completed'],
    ]);
    expect(delays).toEqual([10, 20, 40, 40]);
    expect(new Set(processes.map(({ pid }) => pid)).size).toBe(5);
  });

  it('is over when it crashes too often, and earlier when it crashes alike', async ({
    area,
    supervisor,
  }) => {
    const different = ['exit 1', 'exit 2', 'exit 3', 'exit 4', 'exit 5'];
    const [often, alike] = [
      series(area, supervisor, different, { maxRestarts: 3 }),
      series(area, supervisor, ['echo "pid $$: out of cheese" >&2; exit 1'], { maxRestarts: 3 }),
    ];
    expect(await often.run.done).toMatchObject({ outcome: 'exhausted', restarts: 3 });
    expect(await alike.run.done).toMatchObject({ outcome: 'same-crash', restarts: 2 });
    expect([often.processes.length, alike.processes.length]).toEqual([4, 3]);
  });

  it('is not restarted after a SIGTERM from outside: it alone is aborted', async ({
    area,
    supervisor,
  }) => {
    const [hit, spared, crashed] = [
      series(area, supervisor, [SLEEP]),
      series(area, supervisor, [SLEEP]),
      series(area, supervisor, [SLEEP]),
    ];
    const of = (from: typeof hit, n: number) => from.processes[n];
    const helper = supervisor.spawn(shell(area, SLEEP, { signal: hit.run.signal }));
    await Promise.all([
      ...[hit, spared, crashed].map((each) => saysReady(of(each, 0))),
      saysReady(helper),
    ]);
    const sparedRow = rowOf(of(spared, 0));
    process.kill(rowOf(of(hit, 0)).pid, 'SIGTERM');
    expect(await hit.run.done).toMatchObject({
      outcome: 'intentional',
      restarts: 0,
      reports: [{ signal: 'SIGTERM', cause: 'terminated' }],
    });
    expect(hit.run.signal.reason).toMatchObject({ code: 'ABORTED' });
    expect(await helper.exited).toMatchObject({ cause: 'aborted' });
    // The control: what crashes is started again.
    process.kill(rowOf(of(crashed, 0)).pid, 'SIGSEGV');
    await eventually(() => of(crashed, 1)?.pid !== undefined, { what: 'the crashed one is back' });
    expect(hit.processes).toHaveLength(1);
    expect(crashed.run.signal.aborted).toBe(false);
    expect(spared.run.signal.aborted).toBe(false);
    expect(isAlive(sparedRow)).toBe(true);
    expect(await spared.run.stop()).toMatchObject({
      outcome: 'aborted',
      reports: [{ cause: 'aborted' }],
    });
    expect(isAlive(sparedRow)).toBe(false);
    expect(await crashed.run.stop()).toMatchObject({ outcome: 'aborted', restarts: 1 });
  });

  it('starts exactly as many of a hundred at once as the rate allows', async ({ area }) => {
    await using supervisor = createSupervisor({
      stateDir: area.stateDir,
      ladder: LADDER,
      pool: { hardCap: 200 },
      spawnRate: { max: 6, windowMs: 600_000 },
    });
    await supervisor.start();
    const all = Array.from({ length: 100 }, () => supervisor.spawn(shell(area, 'exec sleep 300')));
    const outcomes = await Promise.allSettled(all.map(({ started }) => started));
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(94);
    for (const { reason } of refused as PromiseRejectedResult[])
      expect(reason).toMatchObject({ code: 'SPAWN_RATE' });
    // The control looks from outside.
    await eventually(() => area.tree().filter(({ command }) => command === 'sleep').length === 6);
    expect(supervisor.list()).toHaveLength(6);
  });
});

describe.runIf(CAN_CONTAIN)('a host that is killed in mid-series', () => {
  const options = { maxRestarts: 4, backoffMs: 20, maxBackoffMs: 20, sameCrashLimit: 100 };
  const start = (area: Area, more: RunOptions = {}) =>
    area.host({ script: 'restarts.ts', args: [JSON.stringify({ ...options, ...more })] });
  const done = async (host: ReturnType<typeof start>) => {
    const { outcome, restarts } = await host.next(({ event }) => event === 'done');
    return { outcome, restarts };
  };

  it('has a successor that goes on counting', async ({ area }) => {
    // Wherever it is by then, two restarts are written down.
    const killed = start(area, { maxRestarts: 2 });
    await killed.next(({ event, attempt }) => event === 'restarting' && attempt === 3);
    killed.kill('SIGKILL');
    await killed.exited;
    expect(await done(start(area))).toEqual({ outcome: 'exhausted', restarts: 2 });
    expect(await done(start(area))).toEqual({ outcome: 'exhausted', restarts: 0 });
  });

  it('has nothing to do with a run of another name', async ({ area }) => {
    expect(await done(start(area))).toEqual({ outcome: 'exhausted', restarts: 4 });
    expect(await done(start(area, { name: 'other' }))).toEqual({
      outcome: 'exhausted',
      restarts: 4,
    });
  });

  it('keeps a host alive that only waits to start again', async ({ area }) => {
    const host = start(area, { maxRestarts: 1, backoffMs: 300, maxBackoffMs: 300, jitter: 0 });
    expect(await host.exited).toEqual({ code: 0, signal: null });
    expect(await done(host)).toEqual({ outcome: 'exhausted', restarts: 1 });
  });
});
