// Pins: whoever changes one of these lists changes what users build on.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeOs } from '../../kit/fake-os.ts';
import * as claude from '../../src/claude/index.ts';
import * as daemon from '../../src/daemon/index.ts';
import * as doctor from '../../src/doctor/index.ts';
import * as api from '../../src/index.ts';
import * as mcp from '../../src/mcp/index.ts';
import * as otel from '../../src/otel/index.ts';
import * as service from '../../src/service/index.ts';
import { resolveOptions } from '../../src/supervisor/options.ts';
import * as testing from '../../src/testing/index.ts';

describe('the main entry', () => {
  it('exports these values', () => {
    expect(Object.keys(api).sort()).toEqual([
      'ERROR_CODES',
      'ESSENTIAL_NAMES',
      'SupervisorError',
      'classifyExit',
      'createSupervisor',
      'getSupervisor',
      'isProcessAlive',
      'isSupervisorError',
      'normalizeSpawnArgs',
      'sanitizeEnv',
    ]);
  });

  it('exports these types', () => {
    const source = readFileSync(join(import.meta.dirname, '../../src/index.ts'), 'utf8');
    const lists = [...source.matchAll(/export (type )?\{([^}]*)\}/g)];
    const types = lists.flatMap(([, type, names = '']) =>
      names
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '' && (type !== undefined || name.startsWith('type ')))
        .map((name) => name.replace(/^type /, '')),
    );
    expect(types.sort()).toEqual([
      'AcquireOptions',
      'AdoptOptions',
      'Budget',
      'Cleanup',
      'DeadProcess',
      'EmptyValue',
      'EndReport',
      'EndingOptions',
      'EnvironmentRules',
      'ExitCause',
      'ExitContext',
      'ExitReport',
      'ExitVerdict',
      'HookDefaults',
      'HookOptions',
      'HostSignal',
      'HostSignalOptions',
      'KeptProcess',
      'Launch',
      'LaunchOptions',
      'LeaseAdoptOptions',
      'LeftoverAction',
      'LeftoverRule',
      'LimitOptions',
      'Limits',
      'NamePattern',
      'OnDuplicate',
      'Orphan',
      'OutputTarget',
      'PoolKey',
      'PoolPause',
      'PoolRequest',
      'ProcessInfo',
      'ProcessInspection',
      'ProcessName',
      'ProcessSubject',
      'RlimitTagReport',
      'Run',
      'RunAttempt',
      'RunOptions',
      'RunOutcome',
      'RunReport',
      'SanitizeOptions',
      'SanitizedEnv',
      'ServiceState',
      'SessionEnd',
      'SessionInfo',
      'SlotLease',
      'SpawnHook',
      'SpawnRequest',
      'Spent',
      'StartReport',
      'StdioOptions',
      'StopOptions',
      'StopSignal',
      'SupervisedProcess',
      'Supervisor',
      'SupervisorErrorCode',
      'SupervisorEvent',
      'SupervisorEvents',
      'SupervisorOptions',
      'SupervisorPool',
      'SupervisorState',
      'Survivor',
      'SweepReport',
      'TerminateOptions',
      'Unproven',
      'WaitCause',
      'WaitsFor',
    ]);
  });

  it('knows these error codes', () => {
    expect(api.ERROR_CODES).toEqual([
      'INVALID_OPTIONS',
      'STOPPING',
      'POOL_TIMEOUT',
      'QUEUE_FULL',
      'ABORTED',
      'HARD_CAP',
      'SESSION_EXPIRED',
      'CONVERSATION_BUSY',
      'SPAWN_RATE',
      'DEPTH_EXCEEDED',
      'BUDGET_EXCEEDED',
      'COMMAND_NOT_FOUND',
      'CWD_NOT_FOUND',
      'SPAWN_FAILED',
      'NOT_ADOPTABLE',
      'READY_TIMEOUT',
      'CIRCUIT_OPEN',
      'ALREADY_RUNNING',
      'STATE_DIR_UNSAFE',
      'UNSUPPORTED_RUNTIME',
      'SERVER_EXITED',
    ]);
  });

  it('recognises its errors, and no others', () => {
    const error = new api.SupervisorError('HARD_CAP', 'full', { data: { alive: 3 } });
    expect(api.isSupervisorError(error)).toBe(true);
    expect(api.isSupervisorError(error, 'HARD_CAP')).toBe(true);
    expect(api.isSupervisorError(error, 'STOPPING')).toBe(false);
    expect(error).toMatchObject({ name: 'SupervisorError', data: { alive: 3 } });
    expect('cause' in error).toBe(false);
    const others = [new Error('HARD_CAP'), { code: 'HARD_CAP' }, null, undefined, 'HARD_CAP'];
    for (const other of others) expect(api.isSupervisorError(other)).toBe(false);
  });

  it('gives a supervisor these methods', () => {
    const supervisor = api.createSupervisor({ stateDir: '/nowhere' });
    const names = Object.getOwnPropertyNames(Object.getPrototypeOf(supervisor));
    expect(names.filter((name) => name !== 'constructor').sort()).toEqual([
      'acquire',
      'adopt',
      'charge',
      // Internal, as `internals` is.
      'configure',
      'handleSignals',
      'inspect',
      'internals',
      'list',
      'on',
      'pool',
      'reapSession',
      'run',
      'session',
      'spawn',
      'spawnHook',
      'start',
      'state',
      'stop',
      'sweep',
    ]);
    expect(supervisor[Symbol.asyncDispose]).toBeTypeOf('function');
  });
});

describe('agent-supervisor/claude', () => {
  it('exports these values', () => {
    expect(Object.keys(claude)).toEqual(['isolatedCwd', 'superviseQuery']);
  });
});

describe('agent-supervisor/daemon', () => {
  it('exports these values', () => {
    expect(Object.keys(daemon).sort()).toEqual([
      'acquireSpawnLock',
      'daemonStatus',
      'ensureDaemon',
      'readPidFile',
      'readPidFileSync',
      'removePidFile',
      'removeStalePidFile',
      'restartDaemon',
      'runAsDaemon',
      'stopDaemon',
      'validatePidFile',
      'validatePidFileSync',
      'writePidFile',
    ]);
  });
});

describe('agent-supervisor/doctor', () => {
  it('exports these values', () => {
    expect(Object.keys(doctor).sort()).toEqual([
      'doctor',
      'doctorHandler',
      'doctorReportSchema',
      'toNodeListener',
    ]);
  });
});

describe('agent-supervisor/mcp', () => {
  it('exports these values', () => {
    expect(Object.keys(mcp)).toEqual(['SupervisedStdioTransport']);
  });
});

describe('agent-supervisor/otel', () => {
  it('exports these values', () => {
    expect(Object.keys(otel)).toEqual(['instrument']);
  });
});

describe('agent-supervisor/service', () => {
  it('exports these values', () => {
    expect(Object.keys(service)).toEqual(['defineService']);
  });
});

describe('agent-supervisor/testing', () => {
  it('exports these values', () => {
    expect(Object.keys(testing).sort()).toEqual([
      ...[
        'FakeClock',
        'FakeMachine',
        'LeakError',
        'askPermission',
        'complain',
        'crash',
        'createTestSupervisor',
      ],
      ...['exit', 'expectNoLeaks', 'fail', 'fakeAgent', 'fakeProgram', 'hang', 'killHost'],
      ...['matchers', 'misbehave', 'reachUsageLimit', 'result', 'say', 'send', 'useTool'],
    ]);
  });

  it('knows these ways to misbehave', () => {
    expect(Object.keys(testing.misbehave)).toEqual([
      ...['ignoresSigterm', 'ignoresEof', 'leavesSetsidChild', 'doubleForks', 'forksWhileDying'],
      ...['holdsStdout', 'floodsStderr', 'neverReady', 'eatsMemory', 'spins', 'exitsWith'],
      ...['diesBy', 'zombie'],
    ]);
  });
});

describe('the defaults', () => {
  const resolve = (
    options: api.SupervisorOptions = {},
    variables: Record<string, string | undefined> = {},
  ) => {
    const os = new FakeOs();
    os.variables = variables;
    return resolveOptions({ stateDir: '/state', ...options }, os);
  };

  it('are these', () => {
    expect(resolve()).toEqual({
      stateDir: '/state',
      pool: {
        concurrency: 2,
        hardCap: 10,
        hardCapCounts: 'workers',
        hardCapPerKind: {},
        waitTimeoutMs: 60_000,
        perKey: {},
        startingPerKind: {},
        pauseOnUsageLimit: false,
      },
      ladder: { stdinEofMs: 2000, termMs: 5000, killMs: 1000 },
      environment: {},
      args: { emptyValue: 'join' },
      session: {
        maxWallClockMs: 4 * 3_600_000,
        onExpire: 'terminate',
        retentionMs: 30 * 24 * 3_600_000,
      },
      conversation: { onDuplicate: 'replace', observeCli: true },
      leftovers: 'terminate',
      cleanups: {},
      maxDepth: 4,
      guardian: true,
      rlimitTag: true,
      sweep: { intervalMs: 30_000 },
      limits: { perKind: {} },
      sampling: { intervalMs: 5000 },
      budget: {},
    });
  });

  it('let a larger pool mean what it says', () => {
    expect(resolve({ pool: { concurrency: 25 } }).pool).toMatchObject({ hardCap: 25 });
    expect(resolve({ pool: { concurrency: 3 } }).pool).toMatchObject({ hardCap: 10 });
  });

  it("stand below the operator's environment, and that below the host's options", () => {
    const operator = { AGENT_SUPERVISOR_CONCURRENCY: '4', AGENT_SUPERVISOR_HARD_CAP: '7' };
    expect(resolve({}, operator).pool).toMatchObject({
      concurrency: 4,
      hardCap: 7,
      hardCapCounts: 'all',
    });
    expect(resolve({ pool: { concurrency: 5 } }, operator).pool).toMatchObject({
      concurrency: 5,
      hardCap: 7,
    });
    const machine = { AGENT_SUPERVISOR_MACHINE_CONCURRENCY: '3' };
    expect(resolve({}, machine).pool).toMatchObject({ machineConcurrency: 3 });
    expect(resolve({}).pool.machineConcurrency).toBeUndefined();
    const unset = { AGENT_SUPERVISOR_CONCURRENCY: '', AGENT_SUPERVISOR_HARD_CAP: undefined };
    expect(resolve({}, unset).pool).toMatchObject({ concurrency: 2, hardCap: 10 });
  });

  describe.runIf(process.platform === 'linux')('of the state directory', () => {
    let home = '';
    beforeEach(() => {
      home = mkdtempSync(join(tmpdir(), 'agent-supervisor-home-'));
      vi.stubEnv('HOME', home);
      vi.stubEnv('XDG_STATE_HOME', undefined);
      vi.stubEnv('AGENT_SUPERVISOR_STATE_DIR', undefined);
    });
    afterEach(() => {
      vi.unstubAllEnvs();
      rmSync(home, { recursive: true, force: true });
    });

    describe('for a user without a home to write in', () => {
      const own = `agent-supervisor-${process.getuid?.()}`;
      let runtimeDir = '';
      beforeEach(() => {
        runtimeDir = join(home, 'run');
        mkdirSync(runtimeDir, { mode: 0o700 });
        vi.stubEnv('HOME', '/dev/null/nobody');
        vi.stubEnv('XDG_RUNTIME_DIR', runtimeDir);
        vi.stubEnv('TMPDIR', join(home, 'tmp'));
        mkdirSync(join(home, 'tmp'));
      });

      /** Where it is then, and what the host is told of that. */
      const begin = async (options: api.SupervisorOptions = {}) => {
        const supervisor = api.createSupervisor(options);
        const warnings: string[] = [];
        supervisor.on('warning', ({ code }) => warnings.push(code));
        const { stateDir } = await supervisor.start();
        await supervisor.stop();
        return { stateDir, warnings };
      };

      it('is a private one in the runtime folder, with a warning', async () => {
        const path = join(runtimeDir, own);
        expect(await begin()).toEqual({ stateDir: path, warnings: ['NO_HOME'] });
        expect(statSync(path).mode & 0o777).toBe(0o700);
        expect((await begin()).stateDir).toBe(path);
      });

      it('is one in the temporary directory without that, or where others have been there', async () => {
        const path = join(home, 'tmp', own);
        symlinkSync(home, join(runtimeDir, own));
        expect(await begin()).toEqual({ stateDir: path, warnings: ['NO_HOME'] });
        vi.stubEnv('XDG_RUNTIME_DIR', undefined);
        expect((await begin()).stateDir).toBe(path);
      });

      it('is refused where there is nothing better', async () => {
        for (const folder of [runtimeDir, join(home, 'tmp')])
          mkdirSync(join(folder, own), { mode: 0o755 });
        await expect(begin()).rejects.toMatchObject({ code: 'STATE_DIR_UNSAFE' });
      });

      it('is the one that the host has named, and no other', async () => {
        const stateDir = '/dev/null/named';
        await expect(begin({ stateDir })).rejects.toMatchObject({ code: 'STATE_DIR_UNSAFE' });
        expect(readdirSync(runtimeDir)).toEqual([]);
      });
    });

    it.each([
      ["is the user's state folder", {}, {}, '.local/state/agent-supervisor'],
      ['is the one that XDG names', { XDG_STATE_HOME: 'xdg' }, {}, 'xdg/agent-supervisor'],
      [
        "is the operator's",
        { XDG_STATE_HOME: 'xdg', AGENT_SUPERVISOR_STATE_DIR: 'operator' },
        {},
        'operator',
      ],
      ["is the host's", { AGENT_SUPERVISOR_STATE_DIR: 'operator' }, { stateDir: 'host' }, 'host'],
    ])('%s', async (_what, variables, options, expected) => {
      const inHome = (values: Record<string, string>) =>
        Object.fromEntries(Object.entries(values).map(([name, path]) => [name, join(home, path)]));
      for (const [name, value] of Object.entries(inHome(variables))) vi.stubEnv(name, value);
      const supervisor = api.createSupervisor(inHome(options));
      expect(await supervisor.start()).toMatchObject({ stateDir: join(home, expected) });
      await supervisor.stop();
    });
  });
});
