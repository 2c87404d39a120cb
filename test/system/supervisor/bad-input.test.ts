import { type EventEmitter, once } from 'node:events';
// What a host may get wrong: it is told once, clearly, and it costs nothing else.
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { endByMarker, findByMarker } from '../../../kit/process-table.ts';
import { standing } from '../../../kit/state-dir.ts';
import { catchUncaught, type Uncaught } from '../../../kit/uncaught.ts';
import {
  createSupervisor,
  isSupervisorError,
  type SpawnRequest,
  type SupervisedProcess,
  type Supervisor,
  type SupervisorError,
  type SupervisorErrorCode,
} from '../../../src/index.ts';
import { readJournal } from '../../../src/store/journal-reader.ts';
import { Supervisor as SupervisorClass } from '../../../src/supervisor/supervisor.ts';

const MARKER = 'AGENT_SUPERVISOR_BAD_INPUT_TEST';
const LINUX = process.platform === 'linux';
const IS_ROOT = process.getuid?.() === 0;
const SECRET = 's3cret';
const NUL = `a\0${SECRET}`;

let folder = '';
let supervisor: Supervisor;
let uncaught: Uncaught;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-bad-input-'));
  supervisor = createSupervisor({ stateDir: join(folder, 'state'), pool: { concurrency: 1 } });
  uncaught = catchUncaught();
});

afterEach(async () => {
  await supervisor.stop();
  // What was not caught would be told a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  uncaught.restore();
  const leaked = LINUX ? await endByMarker(MARKER, folder) : [];
  rmSync(folder, { recursive: true, force: true });
  expect(leaked, 'alive after the test').toEqual([]);
  expect(uncaught.exceptions).toEqual([]);
  expect(uncaught.rejections).toEqual([]);
});

const env = (more: Record<string, string> = {}) => ({
  PATH: process.env['PATH'],
  [MARKER]: folder,
  ...more,
});
const good = (): SpawnRequest => ({
  command: process.execPath,
  args: ['-e', 'process.stdout.write("fine")'],
  env: env(),
});

/** No process was started, no slot is lost, the registry is as it was: the next one runs. */
async function expectUnharmed(of: Supervisor = supervisor, stateDir = join(folder, 'state')) {
  if (LINUX) expect(findByMarker(MARKER, folder)).toEqual([]);
  expect(of.list()).toEqual([]);
  await of.start();
  const waits = 'process.stdin.resume().on("end", () => process.stdout.write("fine"))';
  const next = of.spawn({ ...good(), args: ['-e', waits] });
  expect(next.pid).toBeDefined();
  const [name = ''] = standing(stateDir);
  const { records, warnings } = await readJournal(join(stateDir, name));
  expect({ ids: [...records.keys()], warnings }).toEqual({ ids: [next.id], warnings: [] });
  next.stdin.end();
  expect(await text(next.stdout)).toBe('fine');
  expect(await next.exited).toMatchObject({ cause: 'completed' });
}

function expectError(error: unknown, code: SupervisorErrorCode, message: RegExp): void {
  expect(isSupervisorError(error, code), inspect(error)).toBe(true);
  expect((error as SupervisorError).message).toMatch(message);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
}

const caught = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
};

describe('spawn throws INVALID_OPTIONS for', () => {
  const CASES: [what: string, request: unknown, message: RegExp][] = [
    [
      'an unknown option',
      { command: 'x', colour: SECRET },
      /^spawn: unknown option "colour"\. Known here: command, args, cwd, env, stdin, input,/,
    ],
    [
      'a missing command',
      {},
      /"command" is undefined, but must be string\. Pass it; it has no default/,
    ],
    ['an empty command', { command: '' }, /"command" is "", but must not be empty/],
    ['a command that is no text', { command: 5 }, /"command" is 5, but must be string/],
    ['a NUL in the command', { command: 'a\0b' }, /"command" is "a\\u0000b", but .*NUL/],
    ['arguments in one text', { command: 'x', args: SECRET }, /"args" .*type string.* be array/],
    ['an argument that is no text', { command: 'x', args: ['a', 1] }, /"args\[1\]" .*type number/],
    ['a NUL in an argument', { command: 'x', args: ['a', NUL] }, /"args\[1\]" .*must not .*NUL/],
    ['an environment in one text', { command: 'x', env: `A=${SECRET}` }, /"env" .*type string/],
    ['a variable that is no text', { command: 'x', env: { A: 1 } }, /"env\.A" .*type number/],
    ['a NUL in a variable', { command: 'x', env: { A: NUL } }, /"env\.A" .*must not .*NUL/],
    ['a name with =', { command: 'x', env: { 'A=B': SECRET } }, /"env" .*names .*no "="/],
    ['an empty name', { command: 'x', env: { '': SECRET } }, /"env" .*names .*not empty/],
    ['a folder that is no text', { command: 'x', cwd: 5 }, /"cwd" is 5, but must be string/],
    ['a NUL in the folder', { command: 'x', cwd: 'a\0b' }, /"cwd" is .*NUL/],
    ['a signal that is none', { command: 'x', signal: {} }, /"signal" .*be an AbortSignal/],
    ['an empty session', { command: 'x', sessionId: '' }, /"sessionId" is "", but must/],
    [
      'a session that is no id',
      { command: 'x', sessionId: {} },
      /"sessionId" .*a number, or a text/,
    ],
    ['an empty kind', { command: 'x', kind: '' }, /"kind" is "", but must not be empty/],
    ['a slot that is no boolean', { command: 'x', slot: 'yes' }, /"slot" is "yes", but .*boolean/],
    [
      'a priority of NaN',
      { command: 'x', priority: Number.NaN },
      /"priority" is NaN, but .*number/,
    ],
    [
      'leftovers of another kind',
      { command: 'x', leftovers: 'maybe' },
      /"maybe", but must be 'terminate', 'keep', or a function/,
    ],
    ['a ladder of no time', { command: 'x', ladder: { termMs: -1 } }, /"ladder.termMs" is -1/],
    ['a step that no ladder has', { command: 'x', ladder: { intMs: 1 } }, /"ladder.intMs"/],
    [
      'a stop signal that nobody can hear',
      { command: 'x', stopSignal: 'SIGKILL' },
      /"stopSignal" is "SIGKILL", but must be "SIGTERM"/,
    ],
    ['nobody to signal first', { command: 'x', signalFirst: 'root' }, /"signalFirst" is "root"/],
    ['a grace of no time', { command: 'x', leftoversGraceMs: 'x' }, /"leftoversGraceMs" is "x"/],
    [
      'a cleanup without a name',
      { command: 'x', cleanup: { command: 'rm' } },
      /"cleanup.name" is undefined/,
    ],
    [
      'a cleanup whose name is no name',
      { command: 'x', cleanup: { name: '../x', command: 'rm' } },
      /"cleanup.name" is "..\/x", but must be a name of letters/,
    ],
    [
      'a cleanup without a command',
      { command: 'x', cleanup: { name: 'x', command: '' } },
      /"cleanup.command" is "", but must not be empty/,
    ],
    [
      'an onSpawn that is no function',
      { command: 'x', onSpawn: 5 },
      /"onSpawn" is 5, but must be a function/,
    ],
    ['nothing', undefined, /is undefined, but must be object/],
    ['null', null, /is null, but must be object/],
    ['a text', 'cat', /is "cat", but must be object/],
  ];

  it.each(CASES)('%s', async (_what, request, message) => {
    expectError(
      caught(() => supervisor.spawn(request as never)),
      'INVALID_OPTIONS',
      message,
    );
    const lease = await supervisor.acquire();
    expectError(
      caught(() => lease.spawn(request as never)),
      'INVALID_OPTIONS',
      /^spawn: /,
    );
    lease.release();
    await expectUnharmed();
  });

  it('what the SDK cannot mean, and nothing that it adds', async () => {
    const hook = supervisor.spawnHook();
    const wrong = { command: 'x', args: [NUL] };
    expectError(
      caught(() => hook(wrong)),
      'INVALID_OPTIONS',
      /"args\[0\]" .*NUL/,
    );
    const request = { ...good(), signal: undefined, futureOption: 1 } as never;
    expect(await hook(request).exited).toMatchObject({ cause: 'completed' });
  });
});

describe('every other call is told INVALID_OPTIONS for', () => {
  const CASES: [what: string, call: (to: Supervisor) => unknown, message: RegExp][] = [
    [
      'an unknown default of the hook',
      (to) => to.spawnHook({ colour: 1 } as never),
      /^spawnHook: unknown option "colour"/,
    ],
    [
      'a hook default of a wrong type',
      (to) => to.spawnHook({ kind: 5 } as never),
      /^spawnHook: "kind" is 5/,
    ],
    ['defaults that are none', (to) => to.spawnHook(5 as never), /^spawnHook: "options" is 5/],
    [
      'an unknown wish of acquire',
      (to) => to.acquire({ colour: 1 } as never),
      /^acquire: unknown option "colour"/,
    ],
    [
      'a negative time-out',
      (to) => to.acquire({ timeoutMs: -1 }),
      /"timeoutMs" is -1, but must be at least 0/,
    ],
    [
      'a time-out in words',
      (to) => to.acquire({ timeoutMs: 'x' } as never),
      /"timeoutMs" is "x", but must be number/,
    ],
    [
      'a signal that is none',
      (to) => to.acquire({ signal: 1 } as never),
      /"signal" is 1, but must be an AbortSignal/,
    ],
    [
      'an unknown wish of stop',
      (to) => to.stop({ colour: 1 } as never),
      /^stop: unknown option "colour"/,
    ],
    ['a negative time to finish', (to) => to.stop({ finishMs: -1 }), /"finishMs" is -1/],
    ['a deadline of NaN', (to) => to.stop({ deadlineMs: Number.NaN }), /"deadlineMs" is NaN/],
    [
      'an unknown filter',
      (to) => to.list({ colour: 1 } as never),
      /^list: unknown option "colour"/,
    ],
    ['an empty session', (to) => to.reapSession(''), /^reapSession: "sessionId" is ""/],
    [
      'no session',
      (to) => to.reapSession(undefined as never),
      /^reapSession: "sessionId" is undefined/,
    ],
    [
      'an unknown wish of reapSession',
      (to) => to.reapSession('s', { colour: 1 } as never),
      /^reapSession: unknown option "colour"/,
    ],
    [
      'no attempt',
      (to) => to.run({}, undefined as never),
      /^run: "attempt" is undefined, but must/,
    ],
    ...(
      [
        ['an unknown wish of run', { colour: 1 }, /^run: unknown option "colour"\. Known here: /],
        ['negative restarts', { maxRestarts: -1 }, /"maxRestarts" is -1, but must be at least 0/],
        ['half a restart', { maxRestarts: 0.5 }, /"maxRestarts" is 0\.5, but must be int/],
        ['restarts in words', { maxRestarts: 'x' }, /"maxRestarts" is "x", but must be number/],
        ['a window of NaN', { windowMs: Number.NaN }, /"windowMs" is NaN, but must be number/],
        ['a window beyond memory', { windowMs: 2_592_000_001 }, /must be at most 2592000000/],
        ['a negative backoff', { backoffMs: -1 }, /"backoffMs" is -1, but must be at least 0/],
        [
          'a backoff beyond its end',
          { backoffMs: 11, maxBackoffMs: 10 },
          /"backoffMs" is 11, but backoffMs must be at most maxBackoffMs/,
        ],
        ['jitter in percent', { jitter: 50 }, /"jitter" is 50, but must be at most 1/],
        ['a limit of one crash', { sameCrashLimit: 1 }, /"sameCrashLimit" is 1, .* at least 2/],
        ['a signal that is no signal', { signal: {} }, /"signal" .*be an AbortSignal/],
        ['a name of nothing', { name: '' }, /"name" is "", but must not be empty/],
      ] as const
    ).map(([what, options, message]): (typeof CASES)[number] => [
      `${what}, in a run`,
      (to) => to.run(options as never, () => expect.unreachable('it was tried')),
      message,
    ]),
    [
      'an unknown event',
      (to) => to.on('colour' as never, () => undefined),
      /^on: "event" is "colour", but must be "requested" or "queued" or/,
    ],
    [
      'a listener that is none',
      (to) => to.on('started', 5 as never),
      /^on: "listener" is 5, but must be a function/,
    ],
    [
      'a signal that cannot be handled',
      (to) => to.handleSignals({ signals: ['SIGKILL'] as never }),
      /"signals\[0\]" is "SIGKILL"/,
    ],
    [
      'a hook that is none',
      (to) => to.handleSignals({ hook: 5 as never }),
      /"hook" is 5, but must be a function/,
    ],
  ];

  it.each(CASES)('%s', async (_what, call, message) => {
    const error = await (async () => call(supervisor))().then(
      () => expect.unreachable('it went through'),
      (reason: unknown) => reason,
    );
    expectError(error, 'INVALID_OPTIONS', message);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      expect(process.listenerCount(signal)).toBe(0);
    }
    await expectUnharmed();
  });

  it('a wrong wish of terminate, and the process goes on', async () => {
    const wishes = [{ colour: 1 }, { deadlineMs: 'x' }, { deadlineMs: Number.NaN }, { force: 1 }];
    const process = supervisor.spawn({ ...good(), args: ['-e', 'process.stdin.resume()'] });
    for (const wish of wishes) {
      const error = await process.terminate(wish as never).catch((reason: unknown) => reason);
      expectError(error, 'INVALID_OPTIONS', /^terminate: /);
    }
    expect(process).toMatchObject({ exitCode: null, signalCode: null, killed: false });
    process.stdin.end();
    expect(await process.exited).toMatchObject({ cause: 'completed' });
  });
});

describe('createSupervisor throws INVALID_OPTIONS for', () => {
  const CASES: [what: string, options: unknown, message: RegExp][] = [
    [
      'an unknown option',
      { colour: 1 },
      /^options: unknown option "colour"\. Known here: stateDir, pool,/,
    ],
    [
      'an unknown option of the pool',
      { pool: { colour: 1 } },
      /unknown option "pool\.colour"\. Known here: concurrency, hardCap, machineConcurrency, hardCapPerKind, waitTimeoutMs, hookTimeoutMs/,
    ],
    [
      'an unknown step',
      { ladder: { colour: 1 } },
      /unknown option "ladder\.colour"\. Known here: stdinEofMs, termMs, killMs/,
    ],
    ['a pool that is none', { pool: 5 }, /"pool" is 5, but must be object/],
    [
      'no slot at all',
      { pool: { concurrency: 0 } },
      /"pool\.concurrency" is 0, but must be at least 1/,
    ],
    ['half a slot', { pool: { concurrency: 1.5 } }, /"pool\.concurrency" is 1\.5, but must be int/],
    [
      'slots in words',
      { pool: { concurrency: '2' } },
      /"pool\.concurrency" is "2", but must be number/,
    ],
    [
      'a cap below the slots',
      { pool: { concurrency: 5, hardCap: 3 } },
      /"pool\.hardCap" is 3, but hardCap must be at least concurrency/,
    ],
    [
      'no process of a kind',
      { pool: { hardCapPerKind: { tool: 0 } } },
      /"pool\.hardCapPerKind\.tool" is 0, but must be/,
    ],
    [
      'half a process of a kind',
      { pool: { hardCapPerKind: { tool: 1.5 } } },
      /"pool\.hardCapPerKind\.tool" is 1\.5, but/,
    ],
    [
      'a cap of a kind in words',
      { pool: { hardCapPerKind: { '*': '3' } } },
      /"pool\.hardCapPerKind\.\*" is "3", but/,
    ],
    [
      'caps of kinds that are none',
      { pool: { hardCapPerKind: 3 } },
      /"pool\.hardCapPerKind" is 3, but/,
    ],
    [
      'a negative step',
      { ladder: { termMs: -1 } },
      /"ladder\.termMs" is -1, but must be at least 0/,
    ],
    ['a step of NaN', { ladder: { termMs: Number.NaN } }, /"ladder\.termMs" is NaN/],
    [
      'a rate without a window',
      { spawnRate: { max: 5 } },
      /"spawnRate\.windowMs" is undefined, but must be number/,
    ],
    [
      'a rate of none',
      { spawnRate: { max: 0, windowMs: 1000 } },
      /"spawnRate\.max" is 0, but must be at least 1/,
    ],
    [
      'a negative rate',
      { spawnRate: { max: -1, windowMs: 1000 } },
      /"spawnRate\.max" is -1, but must be at least 1/,
    ],
    [
      'a rate in words',
      { spawnRate: { max: '5', windowMs: 1000 } },
      /"spawnRate\.max" is "5", but must be number/,
    ],
    [
      'a window of NaN',
      { spawnRate: { max: 5, windowMs: Number.NaN } },
      /"spawnRate\.windowMs" is NaN, but must be number/,
    ],
    [
      'more for a session than for all',
      { spawnRate: { max: 5, windowMs: 1000, maxPerSession: 6 } },
      /"spawnRate\.maxPerSession" is 6, but maxPerSession must be at most max/,
    ],
    [
      'an unknown option of the rate',
      { spawnRate: { max: 5, windowMs: 1000, colour: 1 } },
      /unknown option "spawnRate\.colour"\. Known here: max, windowMs, maxPerSession/,
    ],
    ['a negative depth', { maxDepth: -1 }, /"maxDepth" is -1, but must be at least 0/],
    ['half a depth', { maxDepth: 1.5 }, /"maxDepth" is 1\.5, but must be int/],
    ['a depth of NaN', { maxDepth: Number.NaN }, /"maxDepth" is NaN, but must be number/],
    ['a depth in words', { maxDepth: '4' }, /"maxDepth" is "4", but must be number/],
    ['a depth that no cookie holds', { maxDepth: 33 }, /"maxDepth" is 33, but must be at most 32/],
    ['an empty state directory', { stateDir: '' }, /"stateDir" is "", but must not be empty/],
    ['a NUL in the state directory', { stateDir: 'a\0b' }, /"stateDir" is .*NUL/],
    [
      'a sweep without rest',
      { sweep: { intervalMs: 1 } },
      /"sweep\.intervalMs" is 1, but must be at least 10/,
    ],
    [
      'rules in one text',
      { environment: { deny: 'X' } },
      /"environment\.deny" is "X", but must be array/,
    ],
    [
      'a rule that is none',
      { environment: { deny: [5] } },
      /"environment\.deny\[0\]" is 5, but must be a name or a regular expression/,
    ],
    [
      'an unknown treatment of empty values',
      { args: { emptyValue: 'x' } },
      /"args\.emptyValue" .*"join" or "drop" or "keep"/,
    ],
    [
      'leftovers of another kind',
      { leftovers: 'x' },
      /"leftovers" is "x", but must be "terminate" or "keep"/,
    ],
    [
      'cleanups that are no commands',
      { cleanups: { x: 'rm' } },
      /"cleanups.x" is "rm", but must be a command/,
    ],
    ['a cleanup with a bad name', { cleanups: { 'x y': { command: 'rm' } } }, /"cleanups/],
    ['null', null, /"options" is null, but must be object/],
    ['a number', 5, /"options" is 5, but must be object/],
    ['a list', [], /"options" is a value of type array, but must be object/],
    ['a text', 'x', /"options" is "x", but must be object/],
  ];

  it.each(CASES)('%s', (_what, options, message) => {
    expectError(
      caught(() => createSupervisor(options as never)),
      'INVALID_OPTIONS',
      message,
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    [
      'AGENT_SUPERVISOR_CONCURRENCY',
      'two',
      /"AGENT_SUPERVISOR_CONCURRENCY" is "two", but must be a whole number/,
    ],
    [
      'AGENT_SUPERVISOR_CONCURRENCY',
      '0',
      /"AGENT_SUPERVISOR_CONCURRENCY" is "0", but must be a whole number of at least 1/,
    ],
    ['AGENT_SUPERVISOR_HARD_CAP', '-3', /"AGENT_SUPERVISOR_HARD_CAP" is "-3"/],
    ['AGENT_SUPERVISOR_HARD_CAP', '1e3', /"AGENT_SUPERVISOR_HARD_CAP" is "1e3"/],
    ['AGENT_SUPERVISOR_MACHINE_CONCURRENCY', '0', /"AGENT_SUPERVISOR_MACHINE_CONCURRENCY" is "0"/],
  ])('the operator’s %s=%s', (name, value, message) => {
    const os = new FakeOs();
    os.variables = { [name]: value };
    const create = () => new SupervisorClass({ stateDir: folder }, os);
    expectError(caught(create), 'INVALID_OPTIONS', message);
  });

  it('nothing that an operator has unset by an empty value', () => {
    const os = new FakeOs();
    os.variables = { AGENT_SUPERVISOR_CONCURRENCY: '', AGENT_SUPERVISOR_HARD_CAP: '' };
    expect(new SupervisorClass({ stateDir: folder }, os).list()).toEqual([]);
  });
});

/** What a handle tells of a start that did not come to be. */
async function expectRefused(
  handle: SupervisedProcess,
  code: SupervisorErrorCode,
  message: RegExp,
): Promise<void> {
  const errors: unknown[] = [];
  handle.on('error', (error) => errors.push(error));
  handle.on('exit', () => errors.push('exit'));
  const output = text(handle.stdout);
  handle.stdin.write('ignored');
  const report = await handle.exited;
  expect(report).toMatchObject({
    cause: 'not-started',
    pid: undefined,
    code: null,
    signal: null,
    leftovers: [],
    stderrTail: '',
  });
  expectError(report.error, code, message);
  await expect(handle.started).rejects.toBe(report.error);
  expect(await output).toBe('');
  expect(handle).toMatchObject({ pid: undefined, exitCode: null, killed: false });
  expect(handle.kill('SIGTERM')).toBe(false);
  // The event comes a turn after the start was refused: the caller can listen by then.
  await new Promise((resolve) => setImmediate(resolve));
  expect(errors).toEqual([report.error]);
}

describe.runIf(process.platform !== 'win32')('a start that cannot be', () => {
  const CASES: [what: string, SupervisorErrorCode, () => Partial<SpawnRequest>, RegExp][] = [
    [
      'a command that is nowhere',
      'COMMAND_NOT_FOUND',
      () => ({ command: 'no-such-agent' }),
      /^command "no-such-agent" was not found\. Install it, correct PATH, or pass its absolute path/,
    ],
    [
      'a path to nothing',
      'COMMAND_NOT_FOUND',
      () => ({ command: join(folder, 'nothing') }),
      /^command ".*nothing" was not found\. Install it/,
    ],
    [
      'a script without its interpreter',
      'COMMAND_NOT_FOUND',
      () => {
        writeFileSync(join(folder, 'script'), '#!/no/such/interpreter\n', { mode: 0o755 });
        return { command: join(folder, 'script') };
      },
      /check its first line/,
    ],
    [
      'a folder that is nowhere',
      'CWD_NOT_FOUND',
      () => ({ cwd: join(folder, 'nothing') }),
      /^cwd ".*nothing" is not a folder\. Create it, or leave cwd out/,
    ],
    [
      'a folder that is a file',
      'CWD_NOT_FOUND',
      () => {
        writeFileSync(join(folder, 'file'), '');
        return { cwd: join(folder, 'file') };
      },
      /^cwd ".*file" is not a folder/,
    ],
    [
      'a file that is not executable',
      'SPAWN_FAILED',
      () => {
        writeFileSync(join(folder, 'file'), 'echo hello', { mode: 0o644 });
        return { command: join(folder, 'file') };
      },
      /^command ".*file" could not be started: .*EACCES.*Make it an executable file \(chmod \+x\)/,
    ],
    [
      'a folder as command',
      'SPAWN_FAILED',
      () => ({ command: folder }),
      /could not be started: .*EACCES/,
    ],
    [
      'arguments too long for the system',
      'SPAWN_FAILED',
      () => ({ args: [SECRET.repeat(100_000)] }),
      /could not be started: .*E2BIG/,
    ],
    [
      'an abort before the start',
      'ABORTED',
      () => ({ signal: AbortSignal.abort() }),
      /was aborted .*; nothing was started/,
    ],
  ];
  // An argument and a variable that no message may show.
  const request = (): SpawnRequest => ({
    command: process.execPath,
    args: ['-e', '0', SECRET],
    env: env({ TOKEN: SECRET }),
  });

  const UNASKED = CASES.filter(([, code]) => code !== 'ABORTED');

  it.each(UNASKED)('%s: %s', async (_what, code, more, message) => {
    await expectRefused(supervisor.spawn({ ...request(), ...more() }), code, message);
    await expectUnharmed();
  });

  it.each(CASES)('%s: %s, on a lease, which goes on', async (_what, code, more, message) => {
    const lease = await supervisor.acquire();
    await expectRefused(lease.spawn({ ...request(), ...more() }), code, message);
    const next = lease.spawn(good());
    expect(await next.exited).toMatchObject({ cause: 'completed' });
    lease.release();
    await expectUnharmed();
  });

  it('an abort before the start: ABORTED, told as an exit, since the caller took it back', async () => {
    const handle = supervisor.spawn({ ...request(), signal: AbortSignal.abort(), slot: false });
    const exit = once(handle as unknown as EventEmitter, 'exit');
    const { error, intentional } = await handle.exited;
    expectError(error, 'ABORTED', /was aborted .*; nothing was started/);
    expect(intentional).toBe(true);
    expect(await exit).toEqual([null, 'SIGTERM']);
    await expectUnharmed();
  });

  it('crashes no host that does not listen', async () => {
    const handle = supervisor.spawn({ command: 'no-such-agent' });
    expect(await handle.exited).toMatchObject({ error: { code: 'COMMAND_NOT_FOUND' } });
    expect(await handle.terminate()).toMatchObject({ ended: [{ cause: 'not-started' }] });
    await expectUnharmed();
  });

  it('for want of room: HARD_CAP, at once and in the queue', async () => {
    const full = createSupervisor({
      stateDir: join(folder, 'full'),
      pool: { concurrency: 1, hardCap: 1 },
    });
    const waits = { ...good(), args: ['-e', 'process.stdin.resume()'], slot: false };
    const holder = full.spawn(waits);
    await expectRefused(
      full.spawn({ ...good(), slot: false }),
      'HARD_CAP',
      /^1 processes are alive, and pool\.hardCap is 1\. End some \(supervisor\.list\(\) names them\), or raise pool\.hardCap\.$/,
    );
    await expectRefused(full.spawn(good()), 'HARD_CAP', /pool\.hardCap is 1/);
    holder.stdin.end();
    await holder.exited;
    await expectUnharmed(full, join(folder, 'full'));
    await full.stop();
  });

  it('for want of a slot in time: POOL_TIMEOUT, and the slot goes on', async () => {
    const lease = await supervisor.acquire();
    const error = await supervisor.acquire({ timeoutMs: 20 }).catch((reason: unknown) => reason);
    expectError(
      error,
      'POOL_TIMEOUT',
      /No slot became free within 20 ms\. Raise pool\.concurrency/,
    );
    lease.release();
    await expectUnharmed();
  });

  it('after stop: STOPPING, with the way back', async () => {
    await supervisor.stop();
    const advice = /has stopped; nothing was started\. Call start\(\)/;
    expectError(
      caught(() => supervisor.spawn(good())),
      'STOPPING',
      advice,
    );
    expectError(
      caught(() => supervisor.spawnHook()({ command: 'x', args: [] })),
      'STOPPING',
      advice,
    );
    const error = await supervisor.acquire().catch((reason: unknown) => reason);
    expectError(error, 'STOPPING', advice);
    await supervisor.start();
    await expectUnharmed();
  });

  it('because stop comes first: STOPPING for all that is queued, in hooks and elsewhere', async () => {
    const lease = await supervisor.acquire();
    const hook = supervisor.spawnHook();
    const queued = [
      hook({ command: process.execPath, args: [SECRET], env: env({ TOKEN: SECRET }) }),
      supervisor.spawn(good()),
    ];
    const waiting = supervisor.acquire().catch((reason: unknown) => reason);
    const told = queued.map((one) => expectRefused(one, 'STOPPING', /is stopping; nothing was/));
    await supervisor.stop();
    await Promise.all(told);
    expectError(await waiting, 'STOPPING', /is stopping; nothing was started\. Call start\(\)/);
    lease.release();
    await supervisor.start();
    await expectUnharmed();
  });
});

describe.runIf(process.platform !== 'win32')('a state directory that is not safe', () => {
  const stateDir = () => join(folder, 'unsafe');
  const CASES: [what: string, make: () => void, message: RegExp, runs: boolean][] = [
    ['a file', () => writeFileSync(stateDir(), 'mine'), /EEXIST|file already exists/, true],
    [
      'writable for others',
      () => {
        mkdirSync(stateDir());
        chmodSync(stateDir(), 0o777);
      },
      /others can write it \(mode 777\)/,
      true,
    ],
    [
      "another user's",
      () => {
        mkdirSync(stateDir());
        chownSync(stateDir(), 65534, 65534);
      },
      /belongs to uid 65534, not to uid 0/,
      IS_ROOT,
    ],
    ['not writable for us', () => mkdirSync(stateDir(), { mode: 0o500 }), /EACCES/, !IS_ROOT],
  ];

  it.each(CASES.filter(([, , , runs]) => runs))(
    '(%s) is told at every start, and costs no slot',
    async (_what, make, message) => {
      make();
      const unsafe = createSupervisor({ stateDir: stateDir(), pool: { concurrency: 1 } });
      const whole = new RegExp(
        `^stateDir ".*unsafe" cannot hold the registry: .*(${message.source}).*Pass a folder of your own \\(mode 0700\\) as stateDir, or set AGENT_SUPERVISOR_STATE_DIR\\.$`,
      );
      const error = await unsafe.start().catch((reason: unknown) => reason);
      expectError(error, 'STATE_DIR_UNSAFE', whole);
      await expectRefused(unsafe.spawn(good()), 'STATE_DIR_UNSAFE', whole);
      await expectRefused(unsafe.spawn({ ...good(), slot: false }), 'STATE_DIR_UNSAFE', whole);
      // Put right, it works: nothing was lost, and nothing is remembered.
      rmSync(stateDir(), { recursive: true });
      await unsafe.start();
      await expectUnharmed(unsafe, stateDir());
      await unsafe.stop();
    },
  );
});
