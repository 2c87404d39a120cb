// Each limit on real processes: it ends the whole tree with its own cause, and without it the same
// tree lives on.
import { describe, expect, vi } from 'vitest';
import { eventually, findByMarker } from '../../../../kit/process-table.ts';
import { MARKER } from '../../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../../kit/supervised.ts';
import type { SupervisorEvents } from '../../../../src/events.ts';
import type { Limits, SpawnRequest, SupervisedProcess, Supervisor } from '../../../../src/index.ts';

const MIB = 2 ** 20;
/** Far more than a limit here takes to act. */
const SOON = { timeout: 30_000, concurrent: true };
vi.setConfig({ maxConcurrency: 4 });

/** Busy for some time, and no longer, if nobody ends it. */
const BUSY = 'i=0; while [ $((i=i+1)) -lt 50000000 ]; do :; done';

const it = base
  .extend('supervisor', ({ supervise }) => supervise({ sampling: { intervalMs: 100 } }))
  .extend('request', ({ marker }) => {
    /** A request that runs a shell script, whose processes carry the marker. */
    return (script: string, limits: Limits): SpawnRequest => ({
      command: '/bin/sh',
      args: ['-c', script],
      env: { PATH: process.env['PATH'], [MARKER]: marker },
      kind: 'tool',
      limits,
    });
  })
  .extend('endings', ({ supervisor }) => {
    const endings: SupervisorEvents['ending'][] = [];
    supervisor.on('ending', (ending) => endings.push(ending));
    return endings;
  });

describe.runIf(CAN_WATCH)('startup', SOON, () => {
  const limits = { startupMs: 500 };
  const off = { startupMs: null, lifetimeMs: 1500 };
  it.for<[string, string, Limits, string]>([
    ['silent', 'sleep 300', limits, 'startup'],
    ['silent, with a descendant that left', 'setsid sleep 300 & sleep 300', limits, 'startup'],
    ['silent, and ignoring SIGTERM', "trap '' TERM; sleep 300 & wait; wait", limits, 'startup'],
    ['silent, without the limit', 'sleep 300', off, 'lifetime'],
    [
      'writing to stdout',
      'echo ready; exec sleep 300',
      { ...limits, lifetimeMs: 1500 },
      'lifetime',
    ],
    [
      'writing to stderr',
      'echo r >&2; exec sleep 300',
      { ...limits, lifetimeMs: 1500 },
      'lifetime',
    ],
    ['exited before the limit', 'exit 3', limits, 'failed'],
  ])(
    '%s: %s ends by %o: %s',
    async ([, script, limits, cause], { supervisor, request, marker, endings }) => {
      const child = supervisor.spawn(request(script, limits));
      const report = await child.exited;
      expect(report).toMatchObject({ cause, intentional: cause !== 'failed', leftovers: [] });
      expect(endings.map((ending) => ending.cause)).toEqual(cause === 'failed' ? [] : [cause]);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );
});

describe.runIf(CAN_WATCH)('idle', SOON, () => {
  const IDLE_MS = 800;
  const limits = { idleMs: IDLE_MS, lifetimeMs: 4 * IDLE_MS };

  it.for<[string, string, Limits, string]>([
    ['silent', 'exec cat', limits, 'idle'],
    ['silent after its first output', 'echo ready; exec cat', limits, 'idle'],
    ['silent once its descendant has exited', 'sleep 0.5; exec cat', limits, 'idle'],
    ['silent, without the limit', 'exec cat', { ...limits, idleMs: null }, 'lifetime'],
    ['with a descendant that sleeps', 'sleep 300; :', limits, 'lifetime'],
    ['with a descendant that left', '(setsid sleep 300 &); exec cat', limits, 'lifetime'],
    ['busy', BUSY, limits, 'lifetime'],
    ['with a busy descendant', `${BUSY} & wait`, limits, 'lifetime'],
    [
      'writing to stderr',
      'while sleep 0.2 && [ $((n=n+1)) -lt 500 ]; do echo more >&2; done',
      limits,
      'lifetime',
    ],
  ])(
    '%s: %s ends by %o: %s',
    async ([, script, limits, cause], { supervisor, request, marker, endings }) => {
      const child = supervisor.spawn(request(script, limits));
      const report = await child.exited;
      expect(report).toMatchObject({ cause, intentional: true });
      expect(endings.map((ending) => ending.cause)).toEqual([cause]);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );

  it('does not end a process that gets input', async ({ supervisor, request, endings }) => {
    const child = supervisor.spawn(request('exec cat', { idleMs: IDLE_MS }));
    // The answers are not read, but bytes written to stdin count too.
    let told = 0;
    const beganMs = performance.now();
    await eventually(() => {
      child.stdin.write('x');
      told++;
      return performance.now() - beganMs > 3 * IDLE_MS;
    });
    expect(endings).toEqual([]);
    expect(child.stdout.read()?.length).toBeGreaterThan(told / 2);
    expect(await child.exited).toMatchObject({ cause: 'idle' });
    expect(performance.now() - beganMs).toBeGreaterThan(4 * IDLE_MS);
  });
});

describe.runIf(CAN_WATCH)('memory', SOON, () => {
  /** Holds 200 MB: half of it itself, half in a child; each reports it. */
  const HOLD = `
    const held = Buffer.alloc(100 * ${MIB}, 1);
    if (process.argv[1] === 'parent') {
      const args = ['-e', process.env.SCRIPT, 'child'];
      require('node:child_process').spawn(process.execPath, args, { stdio: 'inherit' });
    }
    console.log(held.length);
    setTimeout(() => held, 300_000);
  `;
  const run = async (supervisor: Supervisor, request: SpawnRequest): Promise<SupervisedProcess> => {
    const child = supervisor.spawn({
      ...request,
      command: process.execPath,
      args: ['-e', HOLD, 'parent'],
      env: { ...request.env, SCRIPT: HOLD },
    });
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await eventually(() => said.split('\n').length === 3);
    return child;
  };

  it('ends a tree over the limit', async ({ supervisor, request, marker, endings }) => {
    const child = supervisor.spawn({
      ...request('', { memoryBytes: 220 * MIB }),
      command: process.execPath,
      args: ['-e', HOLD, 'parent'],
      env: { ...request('', {}).env, SCRIPT: HOLD },
    });
    expect(await child.exited).toMatchObject({ cause: 'memory', intentional: true });
    expect(endings).toMatchObject([
      {
        cause: 'memory',
        reason: expect.stringMatching(
          /^\d+\.\d MiB \(PSS\) in 2 processes, over the limit of 220\.0 MiB$/,
        ),
      },
    ]);
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it.for<[string, Limits]>([
    ['without a limit', {}],
    ['with a limit that it does not reach', { memoryBytes: 600 * MIB }],
  ])('lets a tree live on %s', async ([, limits], { supervisor, request, marker, endings }) => {
    const child = await run(supervisor, request('', limits));
    expect(findByMarker(MARKER, marker)).toHaveLength(2);
    // Some rounds of the sampler.
    const beganMs = performance.now();
    await eventually(() => performance.now() - beganMs > 1000);
    expect(endings).toEqual([]);
    await child.terminate();
    expect(await child.exited).toMatchObject({ cause: 'terminated' });
  });

  it('counts once if many processes share it', async ({ supervisor, request, marker, endings }) => {
    // Every fork of a large process has a resident set as large, and almost none of it its own.
    const script =
      'x=$(head -c 40000000 /dev/zero | tr "\\0" x); i=0; while [ $i -lt 9 ]; do (read x) & i=$((i+1)); done; echo ready; wait';
    const child = supervisor.spawn({
      ...request(`exec 3<&0; ${script.replace('read x', 'read x <&3')}`, {
        memoryBytes: 250 * MIB,
      }),
    });
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await eventually(() => said === 'ready\n' && findByMarker(MARKER, marker).length === 10);
    const [inspection] = await supervisor.inspect();
    expect(inspection?.rssBytes).toBeGreaterThan(300 * MIB);
    const beganMs = performance.now();
    await eventually(() => performance.now() - beganMs > 1000);
    expect(endings).toEqual([]);
    await child.terminate();
  });
});

describe.runIf(CAN_WATCH)('lifetime', SOON, () => {
  it('ends a process that writes and works', async ({ supervisor, request, marker, endings }) => {
    const script = `while sleep 0.05 && [ $((n=n+1)) -lt 2000 ]; do echo more; done & ${BUSY}`;
    const child = supervisor.spawn(request(script, { lifetimeMs: 600 }));
    child.stdout.resume();
    const report = await child.exited;
    expect(report).toMatchObject({ cause: 'lifetime', intentional: true });
    expect(report.durationMs).toBeGreaterThanOrEqual(600);
    expect(endings).toMatchObject([{ reason: expect.stringContaining('600 ms') }]);
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it('does nothing when it is off', async ({ supervisor, request, endings }) => {
    const script = 'while sleep 0.05 && [ $((n=n+1)) -lt 2000 ]; do echo more; done';
    const child = supervisor.spawn(request(script, { lifetimeMs: null }));
    child.stdout.resume();
    const beganMs = performance.now();
    await eventually(() => performance.now() - beganMs > 1500);
    expect(endings).toEqual([]);
    await child.terminate();
    expect(await child.exited).toMatchObject({ cause: 'terminated' });
  });

  it('applies, as memory does, to a process that outlives its host', async ({
    supervisor,
    request,
    marker,
  }) => {
    const limits = { startupMs: 100, idleMs: 100, lifetimeMs: 700 };
    const child = supervisor.spawn({ ...request('sleep 300', limits), outlivesHost: true });
    expect(await child.exited).toMatchObject({ cause: 'lifetime' });
    const large = supervisor.spawn({
      ...request('sleep 300', { memoryBytes: 1 }),
      outlivesHost: true,
    });
    expect(await large.exited).toMatchObject({ cause: 'memory' });
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });
});
