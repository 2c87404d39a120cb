import { mkdtempSync, rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { made, parseInput } from '../check.ts';
import {
  createSupervisor,
  type Supervisor,
  SupervisorError,
  type SupervisorOptions,
} from '../index.ts';
import { type Clock, sleep, systemClock } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { type MachineContext, supervisorOptions } from '../supervisor/internals.ts';
import type { FakeAgent } from './fake-agent.ts';
import { FakeClock } from './fake-clock.ts';
import { withFakes } from './fake-launches.ts';
import { FakeMachine } from './fake-machine.ts';
import { type FakeProgram, isFakeProgram } from './fake-program.ts';
import { endLeaked, expectNoLeaks, findLeaks, type LeakReport } from './leaks.ts';
import { waitingWith } from './waiting-system.ts';

/** Options of a supervisor, and five more for tests. */
export interface TestSupervisorOptions extends SupervisorOptions {
  /** Makes `getSupervisor()` return it until it is disposed. @default false */
  asSingleton?: boolean | undefined;
  /** Replaces every process with stream-json input: no process is started for it. */
  agent?: FakeAgent | undefined;
  /** Replaces every launch of a command, the key: no process is started for it. */
  programs?: Readonly<Record<string, FakeProgram>> | undefined;
  /** The supervisor's clock. Default: the system's. */
  clock?: Clock | undefined;
  /** Slots that it shares with other test supervisors, in memory. Default: with those of its `stateDir`, in files. */
  machine?: FakeMachine | undefined;
}

/** A supervisor of one test. */
export type TestSupervisor = Supervisor & {
  /** Its state directory; removed by `dispose`, unless the test has passed it. */
  readonly stateDir: string;
  /** Stops it, ends its kept processes, and throws if one is left. `await using` does the same. */
  dispose(): Promise<LeakReport>;
};

const testOptions = z.extend(made(supervisorOptions), {
  asSingleton: z._default(z.boolean(), false),
  agent: z.optional(
    z.custom<FakeAgent>((value) => typeof value === 'function' && 'calls' in value, {
      error: 'must be a fakeAgent(…)',
    }),
  ),
  programs: z._default(
    z.record(
      z.string(),
      z.custom<FakeProgram>(isFakeProgram, { error: 'must be a fakeProgram(…)' }),
    ),
    {},
  ),
  machine: z.optional(z.instanceof(FakeMachine, { error: 'must be a new FakeMachine()' })),
  clock: z.optional(
    z.custom<Clock>(
      (value) => typeof (value as Clock | null)?.running?.monotonicMs === 'function',
      {
        error: 'must be a clock, such as new FakeClock()',
      },
    ),
  ),
});

/**
 * Creates a supervisor with a private state directory.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * await using supervisor = createTestSupervisor({ asSingleton: true, agent: fakeAgent([say('Hi.')]) });
 * ```
 */
export function createTestSupervisor(options: TestSupervisorOptions = {}): TestSupervisor {
  const { asSingleton, agent, programs, clock, machine } = parseInput(
    testOptions,
    options,
    'createTestSupervisor',
  );
  const { asSingleton: _1, agent: _2, programs: _3, clock: _4, machine: _5, ...own } = options;
  const stateDir = own.stateDir ?? mkdtempSync(join(tmpdir(), 'agent-supervisor-test-'));
  // No heartbeat: no other host uses this folder.
  const { heartbeat: _6, ...alone } = systemOs();
  const timed: Os = clock === undefined ? alone : { ...alone, clock };
  const hasFakes = agent !== undefined || Object.keys(programs).length > 0;
  const faked = hasFakes ? withFakes(timed, { agent, programs }) : timed;
  const system = clock instanceof FakeClock ? waitingWith(clock, faked) : faked;
  let supervisor: Supervisor;
  let restore: (() => void) | undefined;
  try {
    const join = machine && ((context: MachineContext) => machine.join(context));
    supervisor = createSupervisor({ ...own, stateDir }, system, join);
    if (asSingleton) restore = replaceSingleton(supervisor, own, stateDir);
  } catch (error) {
    if (own.stateDir === undefined) rmdirSync(stateDir);
    throw error;
  }
  let disposed: Promise<LeakReport> | undefined;
  const dispose = (): Promise<LeakReport> => {
    disposed ??= end(supervisor, clock).finally(async () => {
      restore?.();
      if (own.stateDir === undefined) await remove(stateDir);
    });
    return disposed;
  };
  return Object.assign(supervisor, {
    stateDir,
    dispose,
    ...(agent && { [AGENT_EXECUTABLE]: 'fake-agent' }),
    [Symbol.asyncDispose]: async () => void (await dispose()),
  });
}

/** Stops it, and ends its kept processes: nothing could find them once its folder is removed. */
async function end(supervisor: Supervisor, clock: Clock | undefined): Promise<LeakReport> {
  const stopping = supervisor.stop();
  await (clock instanceof FakeClock ? passTime(clock, stopping) : stopping);
  const { kept } = await findLeaks({ supervisor, graceMs: 0 });
  await endLeaked(kept);
  return expectNoLeaks({ supervisor });
}

/** Moves a fake clock forty times as fast as real time, until `promise` settles. */
async function passTime(clock: FakeClock, promise: Promise<unknown>): Promise<void> {
  let isSettled = false;
  const settled = promise.finally(() => {
    isSettled = true;
  });
  while (!isSettled) {
    await clock.advance(80);
    await sleep(2, systemClock);
  }
  await settled;
}

const remove = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true, maxRetries: 5 });

// Read by superviseQuery(): with a fake agent, the SDK's binary need not be installed.
const AGENT_EXECUTABLE = Symbol.for('agent-supervisor.agent-executable.v1');

// Read by getSupervisor() of all loaded copies of this package.
const SINGLETON = Symbol.for('agent-supervisor.singleton.v1');

interface Singleton {
  readonly supervisor: Supervisor;
  readonly options: SupervisorOptions;
}

/** Makes `getSupervisor()` return it, always with its own folder. Returns a function that undoes it. */
function replaceSingleton(
  supervisor: Supervisor,
  options: SupervisorOptions,
  stateDir: string,
): () => void {
  const host = globalThis as { [SINGLETON]?: Singleton };
  const before = host[SINGLETON];
  if (before !== undefined && 'dispose' in before.supervisor) {
    throw new SupervisorError(
      'INVALID_OPTIONS',
      'createTestSupervisor: another test supervisor is the singleton. Dispose it first (await using, or dispose()).',
      { data: { field: 'asSingleton' } },
    );
  }
  const configure = supervisor.configure.bind(supervisor);
  supervisor.configure = (asked) => {
    // Options that the code passes after the first use change nothing: the test's options win.
    if (supervisor.state === 'new') configure({ ...options, ...asked, stateDir });
  };
  const own: Singleton = { supervisor, options };
  host[SINGLETON] = own;
  return () => {
    if (host[SINGLETON] !== own) return;
    if (before === undefined) delete host[SINGLETON];
    else host[SINGLETON] = before;
  };
}
