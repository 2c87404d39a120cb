// Options and requests of any shape: they are taken as they are, or refused once, and nothing begins.
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { runs } from '../../../kit/property.ts';
import { isSupervisorError } from '../../../src/errors.ts';
import type { SpawnRequest } from '../../../src/process/request.ts';
import { resolveOptions, type SupervisorOptions } from '../../../src/supervisor/options.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

const FUZZ = runs(1000);
const STATE_DIR = join(tmpdir(), 'agent-supervisor-that-nobody-makes');

const some = <T extends Record<string, fc.Arbitrary<unknown>>>(fields: T) =>
  fc.record(fields, { requiredKeys: [] });
const ms = fc.oneof(fc.nat(1e6), fc.double({ min: 0, max: 1e12, noNaN: true }));
const positive = ms.map((value) => value + 1);
const text = fc.string({ minLength: 1, maxLength: 20 }).filter((value) => !value.includes('\0'));
const usd = fc.double({ min: 0.01, max: 1e6, noNaN: true });
const budget = some({
  ...{ perSessionUsd: usd, perHostUsd: usd, perDayUsd: usd, maxTokens: usd },
  endRunning: fc.boolean(),
});
// No two of them that contradict each other.
const limits = some({
  startupMs: fc.constant(null),
  idleMs: fc.oneof(positive, fc.constant(null)),
  memoryBytes: fc.oneof(positive, fc.constant(null)),
  lifetimeMs: fc.constant(null),
});

const options: fc.Arbitrary<Record<string, unknown>> = some({
  stateDir: fc.constant(STATE_DIR),
  pool: some({
    concurrency: fc.integer({ min: 1, max: 10 }),
    hardCap: fc.integer({ min: 10, max: 99 }),
    waitTimeoutMs: ms,
  }),
  ladder: some({ stdinEofMs: ms, termMs: ms, killMs: ms }),
  session: some({
    maxWallClockMs: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constant(null)),
    onExpire: fc.constantFrom('terminate', 'refuse'),
    retentionMs: fc.integer({ min: 15_000_000 }),
  }),
  conversation: some({ onDuplicate: fc.constantFrom('replace', 'reject', 'allow', 'takeover') }),
  budget,
  environment: some({ deny: fc.array(text), keep: fc.array(text), allow: fc.array(text) }),
  args: some({ emptyValue: fc.constantFrom('join', 'drop', 'keep') }),
  leftovers: fc.constantFrom('terminate', 'keep'),
  cleanups: fc.dictionary(
    fc.stringMatching(/^[A-Za-z][\w.-]{0,9}$/).filter((name) => name !== '__proto__'),
    fc.record({ command: text, args: fc.array(text), timeoutMs: ms }),
    { maxKeys: 2 },
  ),
  maxDepth: fc.integer({ min: 0, max: 32 }),
  spawnRate: fc.record(
    {
      max: fc.integer({ min: 5 }),
      windowMs: positive,
      maxPerSession: fc.integer({ min: 1, max: 5 }),
    },
    { requiredKeys: ['max', 'windowMs'] },
  ),
  guardian: fc.boolean(),
  sweep: some({ intervalMs: fc.integer({ min: 10 }) }),
  // Of all names of kinds, zod passes over this one.
  limits: fc
    .tuple(
      limits,
      fc.dictionary(
        text.filter((kind) => kind !== '__proto__'),
        limits,
        { maxKeys: 2 },
      ),
    )
    .map(([all, perKind]) => ({ ...all, perKind })),
  sampling: some({ intervalMs: fc.integer({ min: 10 }) }),
});

const request: fc.Arbitrary<Record<string, unknown>> = fc.record(
  {
    command: text,
    args: fc.array(text, { maxLength: 3 }),
    cwd: text,
    env: fc.dictionary(fc.stringMatching(/^[A-Z]{1,4}$/), text, { maxKeys: 3 }),
    sessionId: fc.constantFrom<string | number>('s', 't', 7),
    maxWallClockMs: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constant(null)),
    conversationId: fc.constantFrom('c', 'd'),
    onDuplicate: fc.constantFrom('replace', 'reject', 'allow', 'takeover'),
    kind: fc.constantFrom('agent', 'tool', 'constructor'),
    slot: fc.boolean(),
    priority: fc.double({ noNaN: true, noDefaultInfinity: true }),
    budget,
    limits,
    leftovers: fc.constantFrom('terminate', 'keep'),
    leftoversGraceMs: ms,
    ladder: some({ stdinEofMs: ms, termMs: ms, killMs: ms }),
    stopSignal: fc.constantFrom('SIGTERM', 'SIGINT', 'SIGUSR1'),
    signalFirst: fc.constantFrom('leader', 'tree'),
    cleanup: fc.record({ name: fc.constantFrom('a', 'b-c'), command: text }),
    outlivesHost: fc.boolean(),
  },
  { requiredKeys: ['command', 'sessionId'] },
);

const value = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    -1,
    0,
    0.5,
    2 ** 53,
    Number.POSITIVE_INFINITY,
    Number.NaN,
    '',
    '\0',
    [],
    {},
    null,
    'x',
  ),
);

interface Edited {
  readonly input: Record<string, unknown>;
  /** Where something else was put, or something that nobody knows. */
  readonly path: readonly string[];
}

/** A right input with something else in one place. */
function edited(right: fc.Arbitrary<Record<string, unknown>>): fc.Arbitrary<Edited> {
  const unknown = fc.oneof(fc.constantFrom('colour', '__proto__', 'constructor', ''), fc.string());
  return fc
    .tuple(right, fc.array(fc.nat(), { minLength: 8 }), fc.option(unknown), value)
    .map(([whole, choices, name, other]) => {
      const input = structuredClone(whole);
      const path: string[] = [];
      let at: object = input;
      for (const choice of choices) {
        const entries = Object.entries(at);
        const [key, child] = entries[choice % Math.max(1, entries.length)] ?? ['colour'];
        if (typeof child === 'object' && child !== null && choice % 3 > 0) {
          path.push(key);
          at = child;
          continue;
        }
        const place = Array.isArray(at) ? '0' : (name ?? key);
        path.push(place);
        // Defined, as JSON.parse does it: assignment to `__proto__` would not make a property.
        const how = { enumerable: true, configurable: true, writable: true };
        Object.defineProperty(at, place, { value: other, ...how });
        break;
      }
      return { input, path };
    });
}

/** What was refused, if it was; anything but one clear refusal fails. */
function refusedField(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (!isSupervisorError(error, 'INVALID_OPTIONS')) throw error;
    // Of two that contradict each other, both.
    const { field, fields = [field] } = error.data as { field?: string; fields?: string[] };
    const [first = ''] = fields;
    expect(error.message).toContain(`"${first}"`);
    return first;
  }
}

describe('options', () => {
  function onFakeOs(variables: Record<string, string | undefined> = {}): FakeOs {
    const os = new FakeOs();
    os.variables = { AGENT_SUPERVISOR_STATE_DIR: STATE_DIR, ...variables };
    return os;
  }

  function refusal(input: unknown): string | undefined {
    const os = onFakeOs();
    const field = refusedField(() => new Supervisor(input as SupervisorOptions, os));
    // Made or not: nothing begins before the first use.
    expect({ log: os.log, looks: os.looks, timers: os.clock.timers }).toEqual({
      ...{ log: [], looks: 0, timers: [] },
    });
    expect(existsSync(STATE_DIR)).toBe(false);
    return field;
  }

  it('that are right are taken as they are', () => {
    fc.assert(
      fc.property(options, (input) => {
        expect(refusal(input)).toBeUndefined();
        expect(resolveOptions(input, onFakeOs())).toMatchObject(input);
      }),
      FUZZ,
    );
  });

  it('with something else in one place are taken, or refused by its name', () => {
    fc.assert(
      fc.property(edited(options), ({ input, path }) => {
        const field = refusal(input);
        if (field !== undefined) expect(field.startsWith(path[0] ?? '')).toBe(true);
      }),
      FUZZ,
    );
  });

  it('of any shape are taken, or refused by name', () => {
    fc.assert(
      fc.property(fc.oneof(value, fc.anything()), (input) => void refusal(input)),
      FUZZ,
    );
  });

  it('of an operator are taken, or refused by name', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('', '0', '1', '007', '9'.repeat(10), 'none'),
    );
    const names = ['CONCURRENCY', 'HARD_CAP', 'WALL_CLOCK'].map(
      (name) => `AGENT_SUPERVISOR_${name}`,
    );
    const variables = fc.dictionary(fc.constantFrom(...names), word);
    fc.assert(
      fc.property(variables, (given) => {
        const field = refusedField(() => new Supervisor({}, onFakeOs(given)));
        if (field === undefined || /^(pool|session)\./.test(field)) return;
        expect(Object.keys(given)).toContain(field);
      }),
      FUZZ,
    );
  });
});

describe('a request', () => {
  let world: FakeSupervision;
  beforeEach(() => {
    world = new FakeSupervision({ guardian: false, pool: { concurrency: 100, hardCap: 100 } });
  });
  afterEach(() => world[Symbol.dispose]());

  it('with something else in one place is taken, or refused by its name and starts nothing', async () => {
    const { os, supervisor } = world;
    await fc.assert(
      fc.asyncProperty(edited(request), async ({ input, path }) => {
        const before = os.log.length;
        let exited: Promise<unknown> | undefined;
        const field = refusedField(() => {
          const process = supervisor.spawn(input as unknown as SpawnRequest);
          exited = process.exited;
          if (process.pid !== undefined) os.die(process.pid, 0, null);
        });
        if (field === undefined) {
          await world.until(exited as Promise<unknown>);
          return;
        }
        expect(field.startsWith(path[0] ?? '')).toBe(true);
        expect(os.log).toHaveLength(before);
        expect(supervisor.list()).toEqual([]);
      }),
      runs(300, { costly: 10 }),
    );
  });

  it('of any shape is refused by name, and starts nothing', () => {
    fc.assert(
      fc.property(fc.oneof(value, fc.anything()), (input) => {
        expect(refusedField(() => world.supervisor.spawn(input as SpawnRequest))).toBeDefined();
        expect(world.os.log).toEqual([]);
      }),
      FUZZ,
    );
  });
});
