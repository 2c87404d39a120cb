// Two hundred at once, of which most come to grief: counted from outside, by locks of the kernel.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import { EVENTS } from '../../../src/events.ts';
import {
  type ExitReport,
  isSupervisorError,
  type SlotLease,
  type SpawnRequest,
  type SupervisedProcess,
  type Supervisor,
} from '../../../src/index.ts';

const REQUESTS = 200;
const SLOTS = 2;
const LADDER = { stdinEofMs: 10, termMs: 80, killMs: 5000 };
const SETTLE_MS = 45_000;

/**
 * An agent takes one of two tokens when it starts, or says that there was none. A token is a lock on
 * a file: the kernel gives it back when the last process of the agent's tree is dead, and not before.
 */
const AGENT = `
  exec 9>>"$TOKENS/1"
  flock -n 9 || { exec 9>>"$TOKENS/2"; flock -n 9 || echo "over $0" >>"$TOKENS/log"; }
  echo "start $0" >>"$TOKENS/log"
`;

const LIVES = {
  quick: 'exit 0',
  fails: 'exit 3',
  works: 'sleep 0.04; exit 0',
  'leaves something behind': 'setsid sleep 300 & exit 0',
  'leaves something stubborn behind': "(trap '' TERM; setsid sleep 300 &) ; exit 0",
  hangs: 'sleep 300; exit 0',
  'hangs stubbornly': "trap '' TERM; sleep 300; sleep 300",
} as const;
type Life = keyof typeof LIVES;
const ENDLESS: readonly Life[] = ['hangs', 'hangs stubbornly'];

const FATES = [
  ...(['nothing', 'nothing', 'nothing', 'abort', 'abort while it runs', 'SIGKILL'] as const),
  ...(['SIGTERM', 'terminate', 'no such command', 'no such folder', 'impatience'] as const),
] as const;
type Fate = (typeof FATES)[number];

interface Plan {
  readonly index: number;
  readonly via: 'spawn' | 'acquire';
  readonly life: Life;
  readonly fate: Fate;
  /** When the fate strikes: after the request for what may strike in the queue, else after the start. */
  readonly afterMs: number;
  readonly priority: number;
}

/** mulberry32: the same numbers for the same seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function plan(seed: number): Plan[] {
  const next = random(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  return Array.from({ length: REQUESTS }, (_, index) => {
    const fate = pick(FATES);
    // What would live for ever needs somebody who ends it.
    const mortal = ['nothing', 'impatience'].includes(fate);
    const deaf: readonly Life[] = fate === 'SIGTERM' ? ['hangs stubbornly'] : [];
    const excluded = mortal ? ENDLESS : deaf;
    const life = pick((Object.keys(LIVES) as Life[]).filter((one) => !excluded.includes(one)));
    const via = fate === 'impatience' ? 'acquire' : pick(['spawn', 'acquire'] as const);
    return { index, via, life, fate, afterMs: next() ** 2 * 3000, priority: pick([0, 0, 0, 1]) };
  });
}

/** What became of a request: the report of its process, or the code of the error that it got instead. */
type Outcome = { readonly plan: Plan; readonly report?: ExitReport; readonly code?: string };

class Crowd {
  readonly #supervisor: Supervisor;
  readonly #folder: string;
  readonly #env: Record<string, string | undefined>;

  constructor(supervisor: Supervisor, folder: string, marker: string) {
    this.#supervisor = supervisor;
    this.#folder = folder;
    mkdirSync(folder);
    this.#env = { PATH: process.env['PATH'], [MARKER]: marker, TOKENS: folder };
  }

  /** Lines `start N` and `over N`, in the order in which the agents wrote them. */
  get log(): string[] {
    const path = join(this.#folder, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  }

  request({ index, life, fate, priority }: Plan): SpawnRequest {
    return {
      command: fate === 'no such command' ? '/no/such/agent' : '/bin/sh',
      args: ['-c', AGENT + LIVES[life], String(index)],
      env: this.#env,
      sessionId: index,
      priority,
      ...(fate === 'no such folder' && { cwd: '/no/such/folder' }),
    };
  }

  async run(one: Plan): Promise<Outcome> {
    const abort = new AbortController();
    if (one.fate === 'abort') setTimeout(() => abort.abort(), one.afterMs);
    const request = { ...this.request(one), signal: abort.signal };
    if (one.via === 'spawn') {
      const process = this.#supervisor.spawn(request);
      // The caller may take it back while it is queued.
      if (one.fate === 'SIGTERM') setTimeout(() => process.kill('SIGTERM'), one.afterMs);
      return { plan: one, report: await this.#live(one, process, abort) };
    }
    let lease: SlotLease;
    try {
      lease = await this.#supervisor.acquire({
        sessionId: one.index,
        priority: one.priority,
        signal: abort.signal,
        ...(one.fate === 'impatience' && { timeoutMs: one.afterMs }),
      });
    } catch (error) {
      if (!isSupervisorError(error)) throw error;
      return { plan: one, code: error.code };
    }
    const process = lease.spawn(request);
    if (one.index % 2 === 0) lease.release();
    const report = await this.#live(one, process, abort);
    lease.release();
    return { plan: one, report };
  }

  async #live(
    { fate, afterMs }: Plan,
    process: SupervisedProcess,
    abort: AbortController,
  ): Promise<ExitReport> {
    const runs = await process.started.then(
      () => true,
      () => false,
    );
    if (runs && fate === 'abort while it runs') setTimeout(() => abort.abort(), afterMs / 30);
    if (runs && fate === 'SIGKILL') setTimeout(() => process.kill('SIGKILL'), afterMs / 30);
    if (runs && fate === 'SIGTERM') setTimeout(() => process.kill('SIGTERM'), afterMs / 30);
    if (runs && fate === 'terminate') setTimeout(() => void process.terminate(), afterMs / 30);
    return process.exited;
  }
}

/** How one may end; where a fate and the life race each other, either may win. */
function allowed({ life, fate, via }: Plan): string[] {
  const own = { fails: 'failed' }[life as string] ?? 'completed';
  const ownEnd = ENDLESS.includes(life) ? [] : [own];
  switch (fate) {
    case 'nothing':
      return [own];
    case 'impatience':
      return [own, 'POOL_TIMEOUT'];
    case 'abort':
      return [...ownEnd, 'aborted', via === 'acquire' ? 'ABORTED' : 'not-started', 'not-started'];
    case 'abort while it runs':
      return [...ownEnd, 'aborted'];
    case 'SIGTERM':
      return [...ownEnd, 'terminated', ...(via === 'spawn' ? ['not-started'] : [])];
    case 'no such command':
    case 'no such folder':
      return ['not-started'];
    default:
      return [...ownEnd, 'terminated'];
  }
}

const STORY =
  /^requested (queued )?(waiting )*(refused|started (ending |leftovers |survivors )*exited)$/;

/** The events of each process, by its id. */
function storiesOf(supervisor: Supervisor): Map<string, string[]> {
  const stories = new Map<string, string[]>();
  for (const event of EVENTS) {
    supervisor.on(event, (detail: object) => {
      if (!('id' in detail) || typeof detail.id !== 'string') return;
      stories.set(detail.id, [...(stories.get(detail.id) ?? []), event]);
    });
  }
  return stories;
}

function hasFlock(): boolean {
  try {
    execFileSync('flock', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const CAN_COUNT = CAN_WATCH && hasFlock();
if (!CAN_COUNT) console.warn('no flock(1) here: the stress test is skipped');

const it = base
  .extend('supervisor', ({ supervise }) =>
    supervise({ ladder: LADDER, pool: { concurrency: SLOTS, hardCap: 100 } }),
  )
  .extend(
    'crowd',
    ({ supervisor, home, marker }) => new Crowd(supervisor, join(home, 'tokens'), marker),
  );

describe.runIf(CAN_COUNT)('two hundred acquires and spawns at once', { timeout: 60_000 }, () => {
  it.for([20261123, 7])(
    'never run more than two, lose none and keep their order (seed %d)',
    async (seed, { supervisor, crowd, marker }) => {
      const plans = plan(seed);
      const stories = storiesOf(supervisor);
      const outcomes: Outcome[] = [];
      const all = plans.map(async (one) => outcomes.push(await crowd.run(one)));
      const granted = plans.filter(({ index }) => index < SLOTS).map(({ index }) => index);
      await expect
        .poll(() => outcomes.length, { timeout: SETTLE_MS, interval: 100 })
        .toBe(REQUESTS);
      await Promise.all(all);

      // None lost: each has come to one of the ends that it may come to.
      for (const { plan: one, report, code } of outcomes) {
        expect(allowed(one), JSON.stringify({ ...one, report })).toContain(code ?? report?.cause);
      }
      // The crowd had enough of each, or it proved nothing.
      const ends = outcomes.map(({ report, code }) => code ?? report?.cause);
      for (const end of ['completed', 'failed', 'terminated', 'aborted', 'not-started']) {
        expect(ends.filter((one) => one === end).length, `${end} in the crowd`).toBeGreaterThan(3);
      }
      for (const end of ['POOL_TIMEOUT', 'ABORTED']) expect(ends).toContain(end);

      // Each is told from its beginning to its end, and once.
      const told = [...stories.values()].map((events) => events.join(' '));
      expect(told.filter((story) => !STORY.test(story))).toEqual([]);
      expect(stories.size).toBe(REQUESTS - outcomes.filter(({ code }) => code).length);

      // Never more than two: no agent found both tokens taken.
      const log = crowd.log;
      expect(log.filter((line) => line.startsWith('over'))).toEqual([]);
      const started = log.map((line) => Number(line.replace('start ', '')));
      expect(new Set(started).size).toBe(started.length);
      expect(started.length).toBeGreaterThan(REQUESTS / 3);

      // First come, first served: whoever starts has passed at most the one in the other slot, who has
      // the slot but has not yet come to say so.
      const rank = new Map(
        plans.map(({ index, priority }) => [index, REQUESTS * -priority + index]),
      );
      for (const [at, index] of started.entries()) {
        if (granted.includes(index)) continue;
        const passed = started
          .slice(at + 1)
          .filter((later) => Number(rank.get(later)) < Number(rank.get(index)));
        expect(passed.length, `${index} passed ${passed}`).toBeLessThan(SLOTS);
      }

      // None stuck, nothing left, and both slots are free at once.
      expect(findByMarker(MARKER, marker)).toEqual([]);
      expect(supervisor.list()).toEqual([]);
      const order: string[] = [];
      const leases = Array.from({ length: SLOTS }, () =>
        supervisor.acquire({ timeoutMs: 0 }).then((lease) => {
          order.push('granted');
          return lease;
        }),
      );
      for (const lease of await Promise.all(leases)) lease.release();
      expect(order).toHaveLength(SLOTS);
    },
  );

  it('negative control: with three slots the tokens run out', async ({
    supervise,
    home,
    marker,
  }) => {
    const supervisor = supervise({ ladder: LADDER, pool: { concurrency: 3 } });
    const crowd = new Crowd(supervisor, join(home, 'tokens'), marker);
    const base: Plan = {
      index: 0,
      via: 'spawn',
      life: 'hangs',
      fate: 'nothing',
      afterMs: 0,
      priority: 0,
    };
    const agents = [0, 1, 2].map((index) => supervisor.spawn(crowd.request({ ...base, index })));
    await eventually(() => crowd.log.filter((line) => line.startsWith('start')).length === 3);
    expect(crowd.log.filter((line) => line.startsWith('over'))).toHaveLength(1);
    await Promise.all(agents.map((agent) => agent.terminate({ force: true })));
  });

  it('negative control: a token is held by the last of a tree', async ({
    supervisor,
    crowd,
    marker,
  }) => {
    const base: Plan = {
      index: 0,
      via: 'spawn',
      life: 'hangs',
      fate: 'nothing',
      afterMs: 0,
      priority: 0,
    };
    const kept = [0, 1].map((index) =>
      supervisor.spawn({
        ...crowd.request({ ...base, index, life: 'leaves something behind' }),
        leftovers: 'keep',
      }),
    );
    await Promise.all(kept.map(({ exited }) => exited));
    expect(findByMarker(MARKER, marker)).toHaveLength(2);
    const third = supervisor.spawn(crowd.request({ ...base, index: 2, life: 'quick' }));
    await third.exited;
    expect(crowd.log.at(-2)).toBe('over 2');
    for (const { pid } of findByMarker(MARKER, marker)) process.kill(pid, 'SIGKILL');
    await eventually(() => findByMarker(MARKER, marker).length === 0);
  });
});

describe.runIf(CAN_COUNT)('a pool that is full', { timeout: 20_000 }, () => {
  it.for([
    ['slot: false', { slot: false }],
    ['another kind', { kind: 'tool' }],
  ] as const)('holds up nobody who needs no slot: %s', async ([, more], { supervisor, crowd }) => {
    const base: Plan = {
      index: 0,
      via: 'spawn',
      life: 'hangs',
      fate: 'nothing',
      afterMs: 0,
      priority: 0,
    };
    const agents = [0, 1].map((index) => supervisor.spawn(crowd.request({ ...base, index })));
    const queued = supervisor.spawn(crowd.request({ ...base, index: 2, life: 'quick' }));
    await eventually(() => crowd.log.length === 2);
    // As an agent's own tool would: the agent waits for it and does not give up its slot meanwhile.
    const tools = Array.from({ length: 20 }, () =>
      supervisor.spawn({
        ...crowd.request({ ...base, life: 'works' }),
        args: ['-c', 'exit 0'],
        ...more,
      }),
    );
    for (const tool of tools) expect(tool.pid).toBeDefined();
    for (const tool of tools) expect(await tool.exited).toMatchObject({ cause: 'completed' });
    expect(queued.pid).toBeUndefined();
    await agents[0]?.terminate({ force: true });
    expect(await queued.exited).toMatchObject({ cause: 'completed' });
    await agents[1]?.terminate({ force: true });
    expect(crowd.log.filter((line) => line.startsWith('over'))).toEqual([]);
  });
});
