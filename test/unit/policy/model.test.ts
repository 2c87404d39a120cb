import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type FakeProcess, UNKILLABLE } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { standing } from '../../../kit/state-dir.ts';
import {
  type ExitReport,
  isSupervisorError,
  type Limits,
  type ProcessInfo,
  type SlotLease,
  type SpawnRequest,
  type SupervisedProcess,
  type WaitCause,
} from '../../../src/index.ts';
import { Semaphore } from '../../../src/policy/semaphore.ts';

const SLOTS = 2;
const CONVERSATIONS = 2;
/** Bounded keys: the first by an entry of its own, the others by that of their beginning. */
const KEYS: Readonly<Record<string, number>> = { one: 1, 'each:a': 2, 'each:b': 2 };
/** The kind of which one at a time may be starting, and for how long. */
const SLOW = 'slow';
const STARTING_MS = 60_000;
const SWEEP_MS = 30_000;
const SAMPLING_MS = 20;
const DAY_MS = 86_400_000;
/** The usage of each process, and its highest allowed usage where that is limited. */
const USED_BYTES = 100;
const BUDGET_USD = 1;
const POLICIES = ['replace', 'replace', 'takeover', 'reject', 'allow', 'wait'] as const;
const LIMITS: readonly Limits[] = [
  {},
  { startupMs: 5 },
  { lifetimeMs: 5 },
  { startupMs: 20, idleMs: 20, lifetimeMs: 40 },
  { memoryBytes: USED_BYTES - 1 },
  { memoryBytes: USED_BYTES },
];
const NATURES: readonly FakeProcess['on'][] = [
  {},
  { EOF: 'die' },
  { EOF: { dieAfterMs: 5 }, SIGTERM: { dieAfterMs: 12 } },
  { SIGTERM: 'ignore' },
  UNKILLABLE,
];

/** A caller, with everything that it was told. */
interface Asker {
  readonly name: string;
  readonly handle: SupervisedProcess;
  readonly abort: AbortController;
  readonly limits: Limits;
  readonly kind: string;
  readonly endsWhenSpent: boolean;
  readonly told: string[];
  hasSpoken: boolean;
}

interface SpawnOptions {
  readonly conversation: number | undefined;
  readonly session: number | undefined;
  readonly policy: (typeof POLICIES)[number];
  readonly priority: number;
  readonly nature: FakeProcess['on'];
  readonly slot: boolean;
  readonly kind: string;
  readonly keys: readonly string[];
  readonly limits: Limits;
  readonly endsWhenSpent: boolean;
}

type Command = readonly [what: string, act: (model: Model) => unknown];

class Model {
  readonly host = new FakeSupervision({
    ladder: { stdinEofMs: 10, termMs: 20, killMs: 20 },
    pool: {
      ...{ concurrency: SLOTS, waitTimeoutMs: 40, maxWaiting: 6 },
      ...{ perKey: { one: 1, 'each:*': 2 }, startingPerKind: { [SLOW]: 1 } },
    },
    session: { maxWallClockMs: 60 },
    sweep: { intervalMs: SWEEP_MS },
    sampling: { intervalMs: SAMPLING_MS },
  });
  readonly askers: Asker[] = [];
  readonly leases: { readonly lease: SlotLease; process: Asker | undefined; over: boolean }[] = [];
  readonly problems: string[] = [];
  /** Promises that must be kept in the end. */
  open = 0;
  readonly #conversationOf = new Map<number, number>();
  readonly #aborts: AbortController[] = [];
  readonly #events: string[] = [];
  readonly #startedAtMs = new Map<string, number>();
  readonly #ending = new Set<string>();
  #spentUsd = 0;
  #wereRunning = 0;

  /** `strict`: 'allow' is no excuse; for the negative control. */
  constructor(strict = false) {
    const { os } = this.host;
    const launch = os.launch.bind(os);
    os.launch = (request) => {
      const [name = '', conversation = '', policy, kind] = request.command.split(' ');
      if (kind === SLOW && this.#starting().length > 0)
        this.problems.push(`${name} was started while another one of its kind was starting`);
      const others = conversation === '-' ? [] : this.#alive(Number(conversation));
      if (others.length > 0 && (strict || policy !== 'allow'))
        this.problems.push(`${name} was started while ${others} of its conversation lived`);
      const launched = launch(request);
      const pid = launched.child?.pid;
      if (pid !== undefined) os.usage.set(pid, { rssBytes: USED_BYTES });
      if (pid !== undefined && conversation !== '-')
        this.#conversationOf.set(pid, Number(conversation));
      return launched;
    };
    // A refusal in the tick of the request comes before its caller is known.
    for (const event of ['exited', 'refused'] as const)
      this.host.supervisor.on(event, ({ id }) => this.#events.push(`${event} ${id}`));
    this.host.supervisor.on('started', ({ id }) => {
      this.#startedAtMs.set(id, os.clock.monotonicMs());
    });
    this.host.supervisor.on('ending', ({ id }) => this.#ending.add(id));
  }

  spawn(options: SpawnOptions, via?: Model['leases'][number]): void {
    const abort = new AbortController();
    const name = `${this.askers.length}`;
    const { conversation, session, policy, priority, nature, slot, limits, endsWhenSpent } =
      options;
    const { kind, keys } = options;
    this.host.os.reactions = nature;
    const request: SpawnRequest = {
      command: `${name} ${conversation ?? '-'} ${policy} ${kind}`,
      signal: abort.signal,
      onDuplicate: policy,
      priority,
      conversationId: conversation === undefined ? undefined : `conversation ${conversation}`,
      sessionId: session,
      limits,
      ...(endsWhenSpent && { budget: { perHostUsd: BUDGET_USD, endRunning: true } }),
      kind,
      ...(via === undefined && { slot, keys }),
    };
    try {
      const spawn = (): SupervisedProcess =>
        via ? via.lease.spawn(request) : this.host.supervisor.spawn(request);
      const handle = spawn();
      const asker: Asker = {
        ...{ name, handle, abort, limits, kind, endsWhenSpent },
        ...{ told: [], hasSpoken: false },
      };
      this.askers.push(asker);
      this.#watch(asker);
      if (via) {
        via.process = asker;
        void handle.exited.then(() => {
          via.process = undefined;
        });
      }
    } catch (error) {
      // A stopped supervisor, or a lease that is in use or released.
      if (!isSupervisorError(error)) throw error;
    }
  }

  #watch({ name, handle, limits, told }: Asker): void {
    this.open++;
    handle.stdout.resume();
    handle.stderr.resume();
    handle.on('exit', () => told.push('exit'));
    handle.on('error', () => told.push('error'));
    handle.started.then(
      () => told.push('started'),
      () => told.push('not started'),
    );
    void handle.exited.then((report) => {
      this.open--;
      told.push(report.cause === 'not-started' ? report.cause : 'ended');
      if (!isDue(report, limits)) this.problems.push(`${name} was ended by ${report.cause}`);
    });
  }

  charge(session: number | undefined): void {
    this.#spentUsd += 1;
    this.host.supervisor.charge(session, { usd: 1 });
  }

  setWall(jumpMs: number): void {
    const { clock } = this.host.os;
    clock.setWall(clock.now() + jumpMs);
  }

  acquire(options: Pick<SpawnOptions, 'session' | 'priority' | 'keys'>, timeoutMs: number): void {
    const { session, priority, keys } = options;
    const abort = new AbortController();
    this.#aborts.push(abort);
    this.open++;
    const { signal } = abort;
    const wait = { timeoutMs, priority, keys, signal };
    this.host.supervisor.acquire({ sessionId: session, ...wait }).then(
      (lease) => {
        this.open--;
        this.leases.push({ lease, process: undefined, over: false });
      },
      (error) => {
        this.open--;
        if (!isSupervisorError(error)) this.problems.push(String(error));
      },
    );
  }

  at<T>(list: readonly T[], index: number): T | undefined {
    return list[index % Math.max(1, list.length)];
  }

  abortAcquire(index: number): void {
    this.at(this.#aborts, index)?.abort();
  }

  /** A process says something. */
  say(index: number): void {
    const asker = this.at(this.askers, index);
    const pid = asker?.handle.pid;
    if (asker === undefined || pid === undefined || !this.host.os.alive.includes(pid)) return;
    asker.hasSpoken = true;
    this.host.os.child(pid).stdout.write('.');
  }

  pause(forMs: number | undefined): void {
    const { supervisor, os } = this.host;
    const until = forMs === undefined ? undefined : os.clock.now() + forMs;
    supervisor.pool.pause({ reason: 'the model', until });
  }

  /** Lets everything happen that is due; who waits then still has a reason to. */
  async settle(): Promise<void> {
    const { os, supervisor } = this.host;
    await os.clock.settle();
    const { pool } = supervisor;
    const isHeld = new Set(
      pool.keys.filter((one) => one.running === one.limit).map(({ key }) => key),
    );
    const slow = this.askers.filter((one) => one.kind === SLOW && !one.hasSpoken && !isOver(one));
    const hasReason: Readonly<Record<WaitCause, (name: string) => boolean>> = {
      start: () => true,
      pause: () => pool.paused !== undefined,
      key: (key) => isHeld.has(key),
      starting: () => slow.length > pool.queue.filter(({ kind }) => kind === SLOW).length,
      slot: () => pool.running >= pool.concurrency,
      machine: () => false,
      condition: () => true,
    };
    for (const { waitsFor } of pool.queue)
      if (!hasReason[waitsFor.cause](waitsFor.name ?? ''))
        this.problems.push(`a request waits for ${waitsFor.cause} ${waitsFor.name}, which is free`);
  }

  /** The slow ones that have said nothing so far. */
  #starting(): Asker[] {
    const { os } = this.host;
    const sinceMs = os.clock.monotonicMs() - STARTING_MS;
    return this.askers.filter(({ kind, hasSpoken, handle }) => {
      const isAlive = handle.pid !== undefined && os.alive.includes(handle.pid);
      return (
        kind === SLOW && !hasSpoken && isAlive && (this.#startedAtMs.get(handle.id) ?? 0) > sinceMs
      );
    });
  }

  #checkPool(live: readonly ProcessInfo[]): void {
    const { pool } = this.host.supervisor;
    const { running, concurrency, keys } = pool;
    // After a resize those who hold surplus slots keep them.
    if (running > Math.max(concurrency, this.#wereRunning))
      this.problems.push(`${running} slots are held of ${concurrency}`);
    this.#wereRunning = running;
    const holders = live.filter(({ holdsSlot }) => holdsSlot).length;
    if (holders > running) this.problems.push(`${holders} processes have ${running} slots`);
    for (const { key, running: count, limit } of keys)
      if (limit === undefined || limit !== KEYS[key] || count > limit)
        this.problems.push(`${key} is held ${count} times`);
    for (const [key, limit] of Object.entries(KEYS)) {
      const count = live.filter((one) => one.keys.includes(key)).length;
      if (count > limit) this.problems.push(`${count} processes have the key ${key}`);
    }
  }

  die(index: number): void {
    const { os } = this.host;
    const pid = this.at(os.alive, index);
    if (pid !== undefined) os.die(pid);
  }

  /** The process leaves a descendant in a session of its own. */
  fork(index: number, on: FakeProcess['on']): void {
    const { os } = this.host;
    const parent = this.at(os.alive, index);
    if (parent === undefined) return;
    const { pid } = os.fork(parent, { on, command: 'heir' });
    os.get(pid).pgid = pid;
    os.get(pid).sid = pid;
    const conversation = this.#conversationOf.get(parent);
    if (conversation !== undefined) this.#conversationOf.set(pid, conversation);
  }

  #alive(conversation: number): number[] {
    return this.host.os.alive.filter((pid) => this.#conversationOf.get(pid) === conversation);
  }

  check(): void {
    const live = this.host.supervisor.list();
    const nowMs = this.host.os.clock.monotonicMs();
    for (const { id, state } of live) {
      if (state !== 'running' || this.#ending.has(id)) continue;
      const asker = this.askers.find(({ handle }) => handle.id === id);
      const { lifetimeMs } = asker?.limits ?? {};
      const ageMs = nowMs - (this.#startedAtMs.get(id) ?? nowMs);
      if (ageMs >= (lifetimeMs ?? Number.POSITIVE_INFINITY))
        this.problems.push(`${id} has run for ${ageMs} ms and may for ${lifetimeMs}`);
      if (asker?.endsWhenSpent && this.#spentUsd >= BUDGET_USD)
        this.problems.push(`${id} runs on a budget that is spent`);
    }
    this.#checkPool(live);
    const { problems } = this;
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }

  /** Ends everything, and checks that nothing is missing. */
  async finish(): Promise<void> {
    const { supervisor, os } = this.host;
    os.failure = undefined;
    await this.settle();
    const stopping = supervisor.stop();
    for (let left = 6; left > 0 && (this.open > 0 || os.alive.length > 0); left--) {
      await os.clock.advance(100);
      for (const pid of os.alive) os.die(pid);
      await os.clock.advance(left < 4 ? SWEEP_MS : 1000);
    }
    await os.clock.until(stopping);
    this.check();
    expect(this.open).toBe(0);
    expect(supervisor.list()).toEqual([]);
    expect(supervisor.pool).toMatchObject({ running: 0, waiting: 0, keys: [] });
    for (const { name, handle, told } of this.askers) {
      const events = this.#events.filter((event) => event.endsWith(` ${handle.id}`));
      const started = [`exited ${handle.id}`, 'ended', 'exit', 'started'];
      const [last] = told.filter((one) => one === 'exit' || one === 'error');
      const refused = [`refused ${handle.id}`, last, 'not started', 'not-started'];
      expect([...events, ...told.sort()], `what ${name} was told`).toEqual(
        told.includes('started') ? started : refused,
      );
    }

    // One process per slot and one per conversation start at once.
    os.reactions = {};
    supervisor.pool.resume();
    supervisor.pool.resize({ concurrency: SLOTS });
    await os.clock.until(supervisor.start());
    const fresh = [
      ...Array.from({ length: SLOTS }, () => this.host.spawn('fresh')),
      ...Array.from({ length: CONVERSATIONS }, (_, at) =>
        this.host.spawn('fresh', { conversationId: `conversation ${at}`, slot: false }),
      ),
    ];
    expect(fresh.map(({ pid }) => typeof pid)).toEqual(fresh.map(() => 'number'));
    await os.clock.until(supervisor.stop());
    const files = standing(this.host.stateDir).filter((name) => !/^(?:session|spend)-/.test(name));
    expect(files).toEqual([]);
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

/** True if its caller was told the end of the process itself. */
function isOver({ told }: Asker): boolean {
  return told.includes('exit') || told.includes('error');
}

/** True if the process had that limit, and enough time to reach it. */
function isDue({ cause, durationMs }: ExitReport, limits: Limits): boolean {
  const { startupMs, idleMs, memoryBytes, lifetimeMs } = limits;
  const memory = (memoryBytes ?? USED_BYTES) < USED_BYTES ? 0 : undefined;
  const ms = { startup: startupMs, idle: idleMs, lifetime: lifetimeMs, memory };
  if (!(cause in ms)) return true;
  const dueMs = ms[cause as keyof typeof ms];
  return typeof dueMs === 'number' && durationMs >= dueMs;
}

const index = fc.nat({ max: 30 });
const maybe = (max: number) => fc.option(fc.nat({ max }), { nil: undefined, freq: 3 });
const nature = fc.constantFrom(...NATURES);
const priority = fc.constantFrom(0, 0, 0, 1);
const ms = fc.constantFrom(0, 1, 5, 10, 20, 40, 61, 2500);
const keys = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.subarray(Object.keys(KEYS)) },
);
const options: fc.Arbitrary<SpawnOptions> = fc.record({
  conversation: maybe(CONVERSATIONS - 1),
  session: fc.option(fc.nat({ max: 1 }), { nil: undefined, freq: 1 }),
  policy: fc.constantFrom(...POLICIES),
  priority,
  nature,
  slot: fc.constantFrom(true, true, true, false),
  kind: fc.constantFrom('agent', 'agent', SLOW),
  keys,
  limits: fc.constantFrom({}, ...LIMITS),
  endsWhenSpent: fc.constantFrom(false, false, false, true),
});

const say = (what: string, act: Command[1]): Command => {
  const command: Command = [what, act];
  // The text that fast-check prints for it.
  return Object.assign(command, { [fc.toStringMethod]: () => what });
};

const spawn = options.map((one) => say(`spawn ${fc.stringify(one)}`, (model) => model.spawn(one)));
const onOne = (what: string, act: (model: Model, index: number) => unknown) =>
  index.map((at) => say(`${what} ${at}`, (model) => act(model, at)));
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 10, arbitrary: spawn },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.record({ session: maybe(1), priority, keys }), ms)
      .map(([one, timeoutMs]) =>
        say(`acquire ${fc.stringify(one)} ${timeoutMs}`, (model) => model.acquire(one, timeoutMs)),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(index, options).map(([at, one]) =>
      say(`lease ${at} spawns ${fc.stringify(one)}`, (model) => {
        const via = model.at(model.leases, at);
        if (via) model.spawn(one, via);
      }),
    ),
  },
  onOne('release lease', (model, at) => model.at(model.leases, at)?.lease.release()),
  onOne('dispose of lease', (model, at) => {
    void model.at(model.leases, at)?.lease[Symbol.asyncDispose]();
  }),
  onOne('abort', (model, at) => model.at(model.askers, at)?.abort.abort()),
  onOne('abort acquire', (model, at) => model.abortAcquire(at)),
  onOne('kill', (model, at) => model.at(model.askers, at)?.handle.kill('SIGTERM')),
  onOne('force', (model, at) => model.at(model.askers, at)?.handle.kill('SIGKILL')),
  onOne('terminate', (model, at) => void model.at(model.askers, at)?.handle.terminate()),
  onOne('end stdin', (model, at) => model.at(model.askers, at)?.handle.stdin.end()),
  onOne('say', (model, at) => model.say(at)),
  maybe(100).map((forMs) => say(`pause ${forMs}`, (model) => model.pause(forMs))),
  {
    weight: 2,
    arbitrary: fc.constant(say('resume', (model) => model.host.supervisor.pool.resume())),
  },
  fc
    .integer({ min: 1, max: 4 })
    .map((concurrency) =>
      say(`resize ${concurrency}`, (model) => model.host.supervisor.pool.resize({ concurrency })),
    ),
  { weight: 3, arbitrary: onOne('die', (model, at) => model.die(at)) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(index, nature)
      .map(([at, on]) => say(`fork ${at} ${fc.stringify(on)}`, (model) => model.fork(at, on))),
  },
  fc
    .nat({ max: 1 })
    .map((session) =>
      say(`reap ${session}`, (model) => void model.host.supervisor.reapSession(session)),
    ),
  maybe(1).map((session) => say(`charge ${session}`, (model) => model.charge(session))),
  fc
    .constantFrom(DAY_MS, -DAY_MS)
    .map((jumpMs) => say(`the clock jumps by ${jumpMs}`, (model) => model.setWall(jumpMs))),
  {
    weight: 2,
    arbitrary: fc.constant(say('settle', (model) => model.settle())),
  },
  {
    weight: 3,
    arbitrary: ms.map((time) =>
      say(`${time} ms pass`, (model) => model.host.os.clock.advance(time)),
    ),
  },
  {
    weight: 2,
    arbitrary: ms.map((time) =>
      say(`${time} ms pass in one tick`, (model) => model.host.os.clock.advanceInOneTick(time)),
    ),
  },
  fc.constant(say('stop', (model) => void model.host.supervisor.stop())),
  {
    weight: 2,
    arbitrary: fc.constant(
      // It refuses while a stop is in progress.
      say('start', (model) => void model.host.supervisor.start().catch(() => undefined)),
    ),
  },
  fc.constantFrom(undefined, 'COMMAND_NOT_FOUND' as const).map((code) =>
    say(`launches fail: ${code}`, ({ host: { os } }) => {
      os.failure = code && { code, message: code, cause: undefined };
    }),
  ),
);

async function play(commands: readonly Command[], strict = false): Promise<void> {
  using model = new Model(strict);
  for (const [, act] of commands) {
    await act(model);
    model.check();
  }
  await model.finish();
}

function acquireAnyway(this: Semaphore): boolean {
  if (!this.hasRoom && this.waitsFor.cause !== 'key') return false;
  this.held += 1;
  return true;
}

function keepNowAndThen() {
  let count = 0;
  return function (this: Semaphore): void {
    if (this.waitsFor.cause !== 'slot' || ++count % 10 > 0) this.held -= 1;
  };
}

describe('slots, keys, sessions, conversations, leases, limits and budgets', () => {
  it('are never lost and never doubled, in any order of events', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), (all) => play(all)),
      { numRuns: 300 },
    );
  });

  it("negative control: the model notices that 'allow' lets two run", async () => {
    const held = fc.check(
      fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 40 }), (all) =>
        play(all, true),
      ),
      { numRuns: 400, endOnFailure: true },
    );
    expect(await held).toMatchObject({ failed: true });
  });

  it.each([
    ['lets one more hold a key', 'tryAcquire', acquireAnyway],
    ['loses a slot now and then', 'release', keepNowAndThen()],
  ] as const)('negative control: the model notices a pool that %s', async (_, method, broken) => {
    using _spy = vi.spyOn(Semaphore.prototype, method).mockImplementation(broken as never);
    const held = fc.check(
      fc.asyncProperty(fc.array(command, { minLength: 20, maxLength: 40 }), (all) => play(all)),
      { numRuns: 400, endOnFailure: true },
    );
    expect(await held).toMatchObject({ failed: true });
  });
});
