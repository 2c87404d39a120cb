// The limits of a process and their effects, on a clock that stands still.
import { afterEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../../kit/fake-supervisor.ts';
import type { HookOptions, Limits, SpawnRequest } from '../../../../src/index.ts';
import {
  assertConsistent,
  limitOptions,
  mergeLimits,
  processLimits,
} from '../../../../src/policy/limits/limits.ts';
import type { SupervisorOptions } from '../../../../src/supervisor/options.ts';

const DAY_MS = 86_400_000;
const NONE = { startupMs: null, idleMs: null, memoryBytes: null, lifetimeMs: null };
const ALL = { startupMs: 1, idleMs: 2, memoryBytes: 3, lifetimeMs: 4 };

describe('the limits of a process are merged: its own, its kind, the supervisor', () => {
  const CASES: readonly {
    name: string;
    options?: SupervisorOptions['limits'];
    kind?: string;
    spawn?: Limits;
    merged: object;
  }[] = [
    { name: 'all are off by default', merged: NONE },
    { name: 'an agent has the common limits', options: ALL, merged: ALL },
    {
      name: 'idle is for agents by default',
      options: ALL,
      kind: 'tool',
      merged: { ...ALL, idleMs: null },
    },
    {
      name: 'idle is for any kind that sets it',
      options: { perKind: { tool: { idleMs: 5 } } },
      kind: 'tool',
      merged: { ...NONE, idleMs: 5 },
    },
    {
      name: 'idle is for any spawn that sets it',
      options: ALL,
      kind: 'tool',
      spawn: { idleMs: 7 },
      merged: { ...ALL, idleMs: 7 },
    },
    {
      name: 'idle has a default value',
      spawn: { idleMs: true },
      merged: { ...NONE, idleMs: 60_000 },
    },
    {
      name: 'a spawn overrides its kind',
      options: ALL,
      spawn: { lifetimeMs: 9 },
      merged: { ...ALL, lifetimeMs: 9 },
    },
    {
      name: 'a kind overrides the common limits',
      options: { ...ALL, perKind: { agent: { startupMs: 0.5 }, tool: { startupMs: 8 } } },
      merged: { ...ALL, startupMs: 0.5 },
    },
    {
      name: 'null switches a limit off',
      options: { ...ALL, perKind: { agent: { memoryBytes: null } } },
      spawn: { startupMs: null, idleMs: undefined },
      merged: { ...ALL, memoryBytes: null, startupMs: null },
    },
    {
      name: 'a spawn switches on a limit that its kind switches off',
      options: { perKind: { agent: { memoryBytes: null } } },
      spawn: { memoryBytes: 6 },
      merged: { ...NONE, memoryBytes: 6 },
    },
    {
      name: 'any text may be a kind',
      options: ALL,
      kind: 'constructor',
      merged: { ...ALL, idleMs: null },
    },
  ];

  it.for(CASES)('$name', ({ options, kind = 'agent', spawn, merged }) => {
    const checked = spawn && processLimits.parse(spawn);
    expect(mergeLimits(limitOptions.parse(options), kind, checked)).toEqual(merged);
  });
});

describe('limits that contradict each other', () => {
  it.for([
    [
      { startupMs: 5000, lifetimeMs: 1000 },
      ['limits.startupMs', 'limits.lifetimeMs'],
      [5000, 1000],
    ],
    [
      { idleMs: 60_000, lifetimeMs: 59_999 },
      ['limits.idleMs', 'limits.lifetimeMs'],
      [60_000, 59_999],
    ],
  ] as const)('%o are refused, naming both', ([limits, fields, values]) => {
    let error: unknown;
    try {
      assertConsistent({ ...NONE, ...limits }, 'spawn');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', data: { fields, values } });
    for (const text of [...fields, ...values]) expect(String(error)).toContain(`${text}`);
  });

  it.for([
    { startupMs: 1000, lifetimeMs: 1000 },
    { startupMs: 5000, idleMs: 1000 },
    { startupMs: 5000, idleMs: 60_000, memoryBytes: 1 },
  ])('%o are accepted', (limits) => {
    assertConsistent({ ...NONE, ...limits }, 'spawn');
  });

  const made: FakeSupervision[] = [];
  const supervise = (options: SupervisorOptions): FakeSupervision => {
    const supervision = new FakeSupervision(options);
    made.push(supervision);
    return supervision;
  };
  afterEach(() => {
    for (const one of made.splice(0)) one[Symbol.dispose]();
  });

  it.for<[string, SupervisorOptions['limits'], RegExp]>([
    [
      'contradictory limits of all',
      { startupMs: 9, lifetimeMs: 1 },
      /"limits\.startupMs" is 9, .*"limits\.lifetimeMs".* 1:/,
    ],
    [
      'contradictory limits of a kind',
      { perKind: { tool: { idleMs: 9, lifetimeMs: 1 } } },
      /"limits\.perKind\.tool\.idleMs" is 9, .*"limits\.perKind\.tool\.lifetimeMs".* 1:/,
    ],
    [
      'contradictory limits of a kind and of all',
      { lifetimeMs: 5, perKind: { tool: { startupMs: 9 } } },
      /tool\.startupMs" is 9, .*tool\.lifetimeMs".* 5:/,
    ],
  ])("%s are refused in the supervisor's options", ([, limits, message]) => {
    expect(() => supervise({ limits })).toThrow(message);
  });

  it('start nothing if one is the spawn’s and one the supervisor’s', () => {
    const { supervisor, os } = supervise({ limits: { lifetimeMs: 1000 } });
    const spawn = () => supervisor.spawn({ command: 'a', limits: { startupMs: 5000 } });
    expect(spawn).toThrow(/"limits\.startupMs" is 5000, .*"limits\.lifetimeMs", which is 1000/);
    expect(spawn).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    const hook = () => supervisor.spawnHook({ kind: 'tool', limits: { startupMs: 5000 } });
    expect(hook).toThrow(/^spawnHook: "limits\.startupMs" is 5000/);
    expect(os.launches).toEqual([]);
  });

  it.for<[string, unknown, string]>([
    ['limits.startupMs', -1, 'is -1, but must be a number of milliseconds above 0'],
    ['limits.startupMs', 0, 'is 0, but'],
    ['limits.idleMs', Number.NaN, 'is NaN, but'],
    ['limits.idleMs', false, 'true for 60000, or null for no limit'],
    ['limits.memoryBytes', '1GB', 'is "1GB", but must be a number of bytes above 0'],
    ['limits.lifetimeMs', Number.POSITIVE_INFINITY, 'is Infinity, but'],
    ['limits.lifetimeMs', {}, 'is a value of type object, but'],
    ['limits.lifeTimeMs', 5, 'unknown option'],
    ['limits.perKind', { tool: { idleMs: -5 } }, '"limits.perKind.tool.idleMs" is -5, but'],
    ['limits.perKind', { tool: { perKind: {} } }, 'unknown option "limits.perKind.tool.perKind"'],
    ['sampling.intervalMs', 9, 'is 9, but must be at least 10'],
    ['sampling.every', 10, 'unknown option "sampling.every". Known here: intervalMs.'],
  ])('with an invalid option %s start no supervisor: %s', ([field, value, message]) => {
    const [group = '', name = ''] = field.split('.');
    expect(() => supervise({ [group]: { [name]: value } })).toThrow(message);
  });

  it.for<[string, unknown, string]>([
    ['memoryBytes', -1, 'spawn: "limits.memoryBytes" is -1, but'],
    ['perKind', {}, 'unknown option "limits.perKind". Known here: startupMs, idleMs'],
  ])('with an invalid %s start no process: %s', ([name, value, message]) => {
    const { supervisor } = supervise({});
    const request = { command: 'a', limits: { [name]: value } } as SpawnRequest;
    expect(() => supervisor.spawn(request)).toThrow(message);
    expect(() => supervisor.spawnHook({ limits: request.limits })).toThrow(`"limits.${name}"`);
  });
});

describe('on a clock that stands still', () => {
  const made: FakeSupervision[] = [];
  afterEach(() => {
    for (const one of made.splice(0)) one[Symbol.dispose]();
  });
  const supervise = (options: SupervisorOptions = {}): FakeSupervision => {
    const supervision = new FakeSupervision({
      guardian: false,
      sweep: { intervalMs: 100 * DAY_MS },
      ...options,
    });
    made.push(supervision);
    return supervision;
  };
  /** Starts one process; an agent's as the SDK would start it. */
  const start = (supervision: FakeSupervision, limits: Limits, hook = false) => {
    const { supervisor, os } = supervision;
    const request: HookOptions = { command: 'a', args: [] };
    const process = hook
      ? supervisor.spawnHook({ limits })(request)
      : supervisor.spawn({ ...request, kind: 'tool', limits });
    process.stdout.resume();
    return { process, child: os.child(process.pid ?? 0), pid: process.pid ?? 0 };
  };
  const ends = ({ events }: FakeSupervision) =>
    events.flatMap(({ name, detail }) => (name === 'ending' ? [detail] : []));

  it('there is no timer, snapshot or sample while all are off', async () => {
    const supervision = supervise();
    start(supervision, {});
    await supervision.os.clock.settle();
    const { looks } = supervision.os;
    expect(supervision.os.clock.timers).toEqual([{ inMs: 100 * DAY_MS, keepAlive: false }]);
    await supervision.os.clock.advance(DAY_MS);
    expect(supervision.os.looks).toBe(looks);
    expect(supervision.os.samples).toEqual([]);
  });

  it.for([{}, { lifetimeMs: 1, memoryBytes: 1 }, { startupMs: 1 }, { idleMs: 1 }])(
    'the caller has the streams of the child itself, whatever is counted: %o',
    (limits) => {
      const supervision = supervise();
      for (const hook of [false, true]) {
        const { process, child } = start(supervision, limits, hook);
        expect(process.stdin).toBe(child.stdin);
        expect(process.stdout).toBe(child.stdout);
        expect(process.stderr).toBe(child.stderr);
      }
    },
  );

  it('startup has no effect on output that is not seen', async () => {
    const supervision = supervise({ limits: { startupMs: 1000 } });
    const seen = supervision.spawn('seen', { kind: 'tool' });
    supervision.spawn('unseen', { kind: 'tool', stdout: 'ignore' });
    supervision.spawn('half seen', { kind: 'tool', stderr: { file: '/dev/null' } });
    await supervision.os.clock.advance(2000);
    expect(ends(supervision).map(({ id }) => id)).toEqual([seen.id]);
  });

  it.for([
    // An agent's output is checked by itself, any other process in the rounds of the sampler.
    [false, 4],
    [true, 5],
  ] as const)(
    'all are disarmed at the exit, and none keeps a finished host alive; hook: %s',
    async ([hook, timers]) => {
      const supervision = supervise();
      const { clock } = supervision.os;
      const limits = { startupMs: 1000, idleMs: 2000, memoryBytes: 1, lifetimeMs: 3000 };
      const { pid, process } = start(supervision, limits, hook);
      await clock.settle();
      expect(clock.timers).toHaveLength(timers);
      expect(clock.timers.some(({ keepAlive }) => keepAlive)).toBe(false);
      supervision.os.die(pid);
      expect(await supervision.until(process.exited)).toMatchObject({ cause: 'completed' });
      expect(clock.timers.map(({ inMs }) => inMs > DAY_MS)).toEqual([true]);
      expect(ends(supervision)).toEqual([]);
    },
  );

  it('a lifetime of 30 days does not overflow', async () => {
    const supervision = supervise();
    const { process } = start(supervision, { lifetimeMs: 30 * DAY_MS });
    await supervision.os.clock.advance(30 * DAY_MS - 1);
    expect(ends(supervision)).toEqual([]);
    await supervision.os.clock.advance(1);
    const report = await supervision.until(process.exited);
    expect(report).toMatchObject({ cause: 'lifetime', intentional: true, signal: 'SIGTERM' });
    expect(ends(supervision)).toMatchObject([
      { cause: 'lifetime', reason: expect.stringContaining('2592000000 ms') },
    ]);
  });

  it.for([
    { hook: false, says: undefined, cause: 'startup' },
    { hook: false, says: 'stdout', cause: 'lifetime' },
    { hook: false, says: 'stderr', cause: 'lifetime' },
    { hook: true, says: undefined, cause: 'startup' },
    { hook: true, says: 'stdout', cause: 'lifetime' },
    { hook: true, says: 'stderr', cause: 'startup' },
  ] as const)('startup ends with cause $cause; hook: $hook, writes to $says', async (run) => {
    const supervision = supervise();
    const limits = { startupMs: 1000, lifetimeMs: 5000 };
    const { process, child } = start(supervision, limits, run.hook);
    if (run.says !== undefined) child[run.says].write('x');
    await supervision.os.clock.advance(999);
    expect(ends(supervision)).toEqual([]);
    const report = await supervision.until(process.exited);
    expect(report).toMatchObject({ cause: run.cause, intentional: true });
    const [end, ...more] = ends(supervision);
    expect(end).toMatchObject({ cause: run.cause });
    expect(more).toEqual([]);
    if (run.cause === 'startup') expect(end?.reason).toBe('no output within 1000 ms');
  });

  it('a limit does nothing to a process that is ending already', async () => {
    const supervision = supervise();
    supervision.os.reactions = { SIGTERM: { dieAfterMs: 400 } };
    const { process } = start(supervision, { startupMs: 1000 });
    await supervision.os.clock.advance(800);
    void process.terminate();
    expect(await supervision.until(process.exited)).toMatchObject({ cause: 'terminated' });
    expect(ends(supervision)).toMatchObject([{ cause: 'terminated' }]);
  });

  describe('idle', () => {
    const RESULT = '{"type":"result","subtype":"success"}\n';
    const WORK = '{"type":"assistant","message":{}}\n';

    it('counts for an agent from its last output after a result', async () => {
      const supervision = supervise();
      const { clock } = supervision.os;
      const { process, child } = start(supervision, { idleMs: 4000 }, true);
      child.stdout.write(WORK);
      await clock.advance(60_000);
      child.stdout.write(RESULT);
      await clock.advance(3000);
      process.stdin.write('{"type":"control_request"}\n');
      await clock.advance(3000);
      child.stdout.write('{"type":"keep_alive"}\n');
      await clock.advance(3999);
      expect(ends(supervision)).toEqual([]);
      await clock.advance(1001);
      expect(ends(supervision)).toMatchObject([{ cause: 'idle' }]);
      expect(await supervision.until(process.exited)).toMatchObject({
        cause: 'idle',
        intentional: true,
      });
    });

    it.for([
      ['before its first result', WORK],
      ['in its next turn', RESULT + WORK],
      ['before its first output', ''],
    ])('never counts for an agent %s', async ([, said = '']) => {
      const supervision = supervise();
      const { child } = start(supervision, { idleMs: 1000 }, true);
      if (said !== '') child.stdout.write(said);
      await supervision.os.clock.advance(DAY_MS / 24);
      expect(ends(supervision)).toEqual([]);
      // Its messages are enough.
      expect(supervision.os.samples).toEqual([]);
    });

    it.for([
      { name: 'nothing happens', cause: 'idle', each: () => undefined },
      {
        name: 'it uses CPU time',
        cause: undefined,
        each: ({ os }: FakeSupervision, pid: number, n: number) =>
          void os.usage.set(pid, { cpuTimeMs: 10 * n }),
      },
      {
        name: 'it writes to stderr',
        cause: undefined,
        each: ({ os }: FakeSupervision, pid: number) => void os.child(pid).stderr.write('x'),
      },
      {
        name: 'it gets input',
        cause: undefined,
        each: ({ os }: FakeSupervision, pid: number) => void os.child(pid).stdout.write('x'),
      },
      {
        name: 'it cannot be measured',
        cause: undefined,
        each: ({ os }: FakeSupervision, pid: number) => void os.usage.delete(pid),
      },
    ])('another command while $name ends with cause $cause', async ({ cause, each }) => {
      const supervision = supervise();
      const { os } = supervision;
      const { pid } = start(supervision, { idleMs: 60_000 });
      os.usage.set(pid, { cpuTimeMs: 0 });
      for (let n = 0; n < 7 && ends(supervision).length === 0; n++) {
        each(supervision, pid, n);
        await os.clock.advance(20_000);
      }
      expect(ends(supervision).map((end) => end.cause)).toEqual(cause ? [cause] : []);
    });

    it('does not count for another command while it has a descendant, and starts anew when that exits', async () => {
      const supervision = supervise();
      const { os } = supervision;
      const { pid } = start(supervision, { idleMs: 60_000 });
      os.usage.set(pid, { cpuTimeMs: 0 });
      await os.clock.advance(50_000);
      const { pid: descendant } = os.fork(pid);
      await os.clock.advance(200_000);
      os.die(descendant);
      await os.clock.advance(59_000);
      expect(ends(supervision)).toEqual([]);
      await os.clock.advance(16_000);
      expect(ends(supervision)).toMatchObject([{ cause: 'idle' }]);
    });
  });

  describe('memory', () => {
    const MIB = 2 ** 20;
    const limits = { memoryBytes: 100 * MIB };

    it('sums up the tree', async () => {
      const supervision = supervise();
      const { os } = supervision;
      const { pid, process } = start(supervision, limits);
      const child = os.fork(pid);
      os.usage.set(pid, { rssBytes: 60 * MIB });
      os.usage.set(child.pid, { rssBytes: 40 * MIB });
      await os.clock.advance(60_000);
      expect(ends(supervision)).toEqual([]);
      os.usage.set(os.fork(child.pid).pid, { rssBytes: 1 });
      await os.clock.advance(5000);
      expect(ends(supervision)).toMatchObject([
        { cause: 'memory', reason: '100.0 MiB (RSS) in 3 processes, over the limit of 100.0 MiB' },
      ]);
      const report = await supervision.until(process.exited);
      expect(report).toMatchObject({ cause: 'memory', intentional: true });
      expect(os.alive).toEqual([]);
    });

    it('counts shared memory once, where the system tells it', async () => {
      const supervision = supervise();
      const { os } = supervision;
      const { pid } = start(supervision, limits);
      const child = os.fork(pid);
      const asked: (readonly number[])[] = [];
      const shares = new Map([[child.pid, 30 * MIB]]);
      os.pss = async (pids) => {
        asked.push(pids);
        return shares;
      };
      os.usage.set(pid, { rssBytes: 50 * MIB }).set(child.pid, { rssBytes: 50 * MIB });
      await os.clock.advance(10_000);
      expect(asked).toEqual([]);
      os.usage.set(child.pid, { rssBytes: 90 * MIB });
      await os.clock.advance(10_000);
      expect(asked).toEqual([
        [pid, child.pid],
        [pid, child.pid],
      ]);
      expect(ends(supervision)).toEqual([]);
      shares.set(child.pid, 51 * MIB);
      await os.clock.advance(5000);
      expect(ends(supervision)).toMatchObject([
        { reason: '101.0 MiB (PSS) in 2 processes, over the limit of 100.0 MiB' },
      ]);
    });
  });

  describe('the sampler', () => {
    const limits = { memoryBytes: 2 ** 30 };

    it('takes one snapshot and one sample a round for all, and none when the last one has gone', async () => {
      const supervision = supervise({ sampling: { intervalMs: 1000 } });
      const { os } = supervision;
      const pids: number[] = [];
      for (let n = 0; n < 5; n++) {
        pids.push(start(supervision, limits).pid);
        await os.clock.advance(150);
      }
      await os.clock.settle();
      const looks = os.looks;
      await os.clock.advance(3000);
      expect(os.looks - looks).toBe(3);
      expect(os.samples).toEqual([pids, pids, pids]);
      for (const pid of pids) os.die(pid);
      await os.clock.advance(1000);
      const { length } = os.samples;
      await os.clock.advance(10_000);
      expect(os.samples).toHaveLength(length);
      expect(os.clock.timers.map(({ inMs }) => inMs > DAY_MS)).toEqual([true]);
    });

    it('gives each watcher the rounds that it asked for, if they are shorter', async () => {
      const supervision = supervise({ sampling: { intervalMs: 3000 } });
      const { os } = supervision;
      const { pid: heavy } = start(supervision, limits);
      const { pid: quick } = start(supervision, { idleMs: 20_000 });
      const { pid: slow } = start(supervision, { idleMs: 50_000 });
      await os.clock.advance(6500);
      const [ofQuick, ofSlow] = [[quick], [heavy, slow]];
      expect(os.samples).toEqual([ofQuick, ofSlow, ofQuick, [heavy, quick, slow]]);
    });

    it('never begins a round during another', async () => {
      const supervision = supervise({ sampling: { intervalMs: 1000 } });
      const { os } = supervision;
      const { pid } = start(supervision, { memoryBytes: 1 });
      os.usage.set(pid, { rssBytes: 2 });
      let asked = 0;
      const answer = Promise.withResolvers<Map<number, number>>();
      os.pss = () => {
        asked++;
        return answer.promise;
      };
      start(supervision, limits);
      await os.clock.advance(10_000);
      expect([os.samples.length, asked]).toEqual([1, 1]);
      answer.resolve(new Map());
      await os.clock.advance(1000);
      expect(ends(supervision)).toMatchObject([{ cause: 'memory' }]);
      expect(os.samples.length).toBe(2);
    });

    it('takes no second round for a timer that fired early', async () => {
      const supervision = supervise({ sampling: { intervalMs: 1000 } });
      const { os } = supervision;
      const { clock } = os;
      const after = clock.after.bind(clock);
      clock.after = (ms, callback, options) => after(Math.max(0, ms - 0.4), callback, options);
      start(supervision, limits);
      await clock.advance(5500);
      expect(os.samples).toHaveLength(5);
    });

    it('continues after a snapshot that failed', async () => {
      const supervision = supervise();
      const { os } = supervision;
      const { pid } = start(supervision, { memoryBytes: 1 });
      os.usage.set(pid, { rssBytes: 2 });
      os.lookError = new Error('EMFILE');
      await os.clock.advance(20_000);
      expect(ends(supervision)).toEqual([]);
      os.lookError = undefined;
      await os.clock.advance(5000);
      expect(ends(supervision)).toMatchObject([{ cause: 'memory' }]);
    });
  });
});
