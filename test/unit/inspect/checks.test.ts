// Each check by a table of findings that make it ok, warn and fail.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Findings, judge } from '../../../src/inspect/checks.ts';
import type {
  CheckStatus,
  DoctorReport,
  GuardianHealth,
  MachineHostHealth,
  OwnerHealth,
  PoolHealth,
  ProcessHealth,
  SessionHealth,
} from '../../../src/inspect/report.ts';
import { stateDirHealth } from '../../../src/inspect/state-dir.ts';
import { systemClock } from '../../../src/os/clock.ts';
import type { Os } from '../../../src/os/os.ts';

const POOL: PoolHealth = {
  concurrency: 2,
  running: 1,
  waiting: 0,
  oldestWaitMs: null,
  paused: null,
  queue: [],
  keys: [],
  live: 1,
  hardCap: 10,
};

const WELL: Findings = {
  at: 1000,
  host: {
    pid: 50,
    machine: 'm',
    platform: 'linux',
    arch: 'x64',
    runtime: 'node',
    runtimeVersion: '24',
    packageVersion: '1',
    bundled: [],
    rssBytes: 1,
    depth: 0,
    maxDepth: 4,
    openFiles: { used: 10, limit: 1000 },
    tasks: { used: 10, limit: 1000 },
  },
  supervisor: {
    instance: 'i',
    state: 'running',
    pool: POOL,
    guardian: { state: 'guarding', pid: 51 },
    rlimitTag: { limit: 'locks', reason: null },
    spentUsd: 0,
  },
  owners: [],
  processes: [],
  sessions: [],
  machineSlots: [],
  services: [],
  stateDir: {
    path: '~/state',
    exists: true,
    mode: '700',
    ownerUid: 0,
    files: [],
    bytes: 0,
    freeBytes: 1e12,
    unsafe: [],
  },
  environment: { nested: false, markers: [], dropped: [], missing: [], proxy: [], logins: [] },
  ends: [],
  isInit: false,
  zombies: 0,
  clockJumpMs: 3,
  stale: [],
  unproven: [],
  survivors: [],
};

const supervisor = (
  change: Partial<NonNullable<DoctorReport['supervisor']>>,
): Partial<Findings> => ({
  supervisor: { ...(WELL.supervisor as NonNullable<DoctorReport['supervisor']>), ...change },
});
const guardian = (state: GuardianHealth['state']) => supervisor({ guardian: { state, pid: null } });
const tag = (reason: string) => supervisor({ rlimitTag: { limit: 'off', reason } });
const pool = (change: Partial<PoolHealth>) => supervisor({ pool: { ...POOL, ...change } });
const host = (change: Partial<Findings['host']>) => ({ host: { ...WELL.host, ...change } });
const stateDir = (change: Partial<Findings['stateDir']>) => ({
  stateDir: { ...WELL.stateDir, ...change },
});
const environment = (change: Partial<Findings['environment']>) => ({
  environment: { ...WELL.environment, ...change },
});
const owner = (verdict: OwnerHealth['verdict'], openedAt = 0): OwnerHealth => ({
  instance: 'other',
  pid: 60,
  machine: 'm',
  verdict,
  openedAt,
  processes: 1,
});
const record = (identity: ProcessHealth['identity']) =>
  ({ id: 'p-1', owner: 'other', identity, descendants: [] }) as unknown as ProcessHealth;
const session = (change: Partial<SessionHealth>) =>
  ({ id: 's', expired: false, live: 1, ...change }) as SessionHealth;

const shared = (...hosts: Partial<MachineHostHealth>[]): Partial<Findings> => ({
  machineSlots: [
    {
      ...{ kind: null, limit: 3, held: 3 },
      hosts: hosts.map((more) => ({
        ...{ instance: 'other', pid: 60, machine: 'm', verdict: 'alive', limit: 3, held: 3 },
        ...{ holders: [], waiting: [] },
        ...more,
      })),
    },
  ],
});
const waitOf = (waitedMs: number): Partial<MachineHostHealth> => ({
  waiting: [{ sessionId: null, waitedMs, why: 'slots-held' }],
});

const CASES: readonly [id: string, status: CheckStatus, why: string, change: Partial<Findings>][] =
  [
    ['guardian', 'ok', 'it guards', {}],
    ['guardian', 'ok', 'the system needs none', guardian('unneeded')],
    ['guardian', 'ok', 'it is being started', guardian('starting')],
    ['guardian', 'ok', 'nothing was started yet', guardian('closed')],
    ['guardian', 'warn', 'it is switched off', guardian('off')],
    ['guardian', 'fail', 'it could not be started', guardian('missing')],
    ['rlimit-tag', 'ok', 'tags hold', {}],
    ['rlimit-tag', 'warn', 'there are none', tag('there is no prlimit (util-linux)')],
    ['init', 'ok', 'the host is not pid 1', {}],
    ['init', 'warn', 'the host is pid 1', { isInit: true, zombies: 3 }],
    ['survivors', 'ok', 'there are none', {}],
    ['survivors', 'fail', 'one is alive', { survivors: ['x, pid 9'] }],
    ['orphans', 'ok', 'every host lives', { owners: [owner('alive')] }],
    ['orphans', 'warn', 'one is dead', { owners: [owner('dead')], processes: [record('alive')] }],
    ['orphans', 'warn', 'one left nothing', { owners: [owner('dead')] }],
    [
      'orphans',
      'ok',
      'what it left is meant to live on',
      { owners: [owner('dead')], processes: [{ ...record('alive'), outlivesHost: true }] },
    ],
    ['foreign', 'ok', 'all can be judged', { owners: [owner('alive'), owner('rebooted')] }],
    ['foreign', 'warn', 'a host of elsewhere', { owners: [owner('elsewhere')] }],
    ['foreign', 'warn', 'a file that is no journal', { unproven: ['host-x.jsonl: noise'] }],
    ['machine-slots', 'ok', 'one waits', shared({}, waitOf(1000))],
    ['machine-slots', 'warn', 'one waits for long', shared({}, waitOf(61_000))],
    ['machine-slots', 'warn', 'hosts name different numbers', shared({}, { limit: 5 })],
    ['state-dir', 'ok', 'it is private', {}],
    ['state-dir', 'ok', 'there is none yet', stateDir({ exists: false, mode: null })],
    ['state-dir', 'ok', 'the system has no modes', stateDir({ mode: null })],
    ['state-dir', 'warn', 'the disk is nearly full', stateDir({ freeBytes: 1024 })],
    ['state-dir', 'fail', 'others can write it', stateDir({ mode: '770' })],
    ['state-dir', 'fail', 'a file is others’', stateDir({ unsafe: [{ file: 'x', why: 'y' }] })],
    ['stale-files', 'ok', 'there are none', {}],
    ['stale-files', 'warn', 'a dead socket', { stale: ['/s/x.sock', '/s/x.pid'] }],
    [
      'stale-files',
      'warn',
      'half-written files',
      stateDir({ files: [{ kind: 'half-written', count: 3, bytes: 0 }] }),
    ],
    ['identity', 'ok', 'all are known', { processes: [record('alive'), record('gone')] }],
    ['identity', 'warn', 'one is not', { processes: [record('unproven')] }],
    ['zombies', 'ok', 'there are none', {}],
    ['zombies', 'ok', 'pid 1 has a check of its own', { isInit: true, zombies: 3 }],
    ['zombies', 'warn', 'some wait', { zombies: 3 }],
    ['pool', 'ok', 'there is room', {}],
    ['pool', 'ok', 'a short wait', pool({ waiting: 1, oldestWaitMs: 60_000 })],
    ['pool', 'warn', 'a long wait', pool({ waiting: 1, oldestWaitMs: 60_001 })],
    ['pool', 'warn', 'the cap is reached', pool({ live: 10 })],
    ['pool', 'warn', 'a pause', pool({ paused: { reason: 'deploy', since: 1, until: null } })],
    ['sessions', 'ok', 'expired and at rest', { sessions: [session({ expired: true, live: 0 })] }],
    ['sessions', 'warn', 'expired, and it runs', { sessions: [session({ expired: true })] }],
    ['services', 'ok', 'none is held back', {}],
    [
      'services',
      'warn',
      'a breaker is open',
      { services: [{ name: 'x', state: 'open', pid: null, failures: 3, openForMs: 5000 }] },
    ],
    ['clock', 'ok', 'it goes on', { owners: [owner('alive', 5000)] }],
    ['clock', 'ok', 'nobody knows', { clockJumpMs: null }],
    ['clock', 'warn', 'it was set ahead', { clockJumpMs: 3_600_000 }],
    ['clock', 'warn', 'it was set back', { clockJumpMs: -3_600_000 }],
    ['clock', 'warn', 'a journal of the future', { owners: [owner('alive', 7000)] }],
    ['open-files', 'ok', 'there is room', host({ openFiles: { used: 800, limit: 1000 } })],
    ['open-files', 'ok', 'there is no limit', host({ openFiles: { used: 1e9, limit: null } })],
    ['open-files', 'warn', 'it is near', host({ openFiles: { used: 801, limit: 1000 } })],
    ['open-files', 'fail', 'it is reached', host({ openFiles: { used: 951, limit: 1000 } })],
    ['tasks', 'ok', 'there is room', {}],
    ['tasks', 'warn', 'it is near', host({ tasks: { used: 90, limit: 100 } })],
    ['depth', 'ok', 'below the limit', host({ depth: 3 })],
    ['depth', 'ok', 'without a limit', host({ depth: 30, maxDepth: null })],
    ['depth', 'fail', 'at the limit', host({ depth: 4 })],
    ['environment', 'ok', 'it has what programs need', environment({ logins: ['AWS_PROFILE'] })],
    [
      'environment',
      'ok',
      'it is an agent’s',
      environment({ nested: true, markers: ['CLAUDECODE'] }),
    ],
    ['environment', 'warn', 'it has no PATH', environment({ missing: ['PATH'] })],
  ];

describe('the checks', () => {
  it.each(CASES)('%s is %s: %s', (id, status, _why, change) => {
    const { checks } = judge({ ...WELL, ...change });
    const check = checks.find((one) => one.id === id);
    expect(check?.status).toBe(status);
    expect(check?.summary).toMatch(/^[A-Z0-9].*\.$/);
    if (status === 'ok') expect(check?.advice).toBeNull();
    else expect(check?.advice).toMatch(/^[A-Z].*\.$/);
  });

  it('have the status of the worst check', () => {
    expect(judge(WELL).status).toBe('ok');
    expect(judge({ ...WELL, zombies: 1 }).status).toBe('warn');
    expect(judge({ ...WELL, zombies: 1, survivors: ['x'] }).status).toBe('fail');
  });

  it('ignore file modes on a system without user ids', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'doctor-mode-'));
    chmodSync(folder, 0o777);
    const statusOn = async (os: Os) => {
      const stateDir = await stateDirHealth(os, folder, folder, String);
      return judge({ ...WELL, stateDir }).checks.find(({ id }) => id === 'state-dir')?.status;
    };
    // It asks the system only for the time and the user; the folder is real.
    const os = { clock: systemClock } as Os;
    expect(await statusOn({ ...os, userId: () => 0 })).toBe('fail');
    expect(await statusOn({ ...os, userId: () => undefined })).toBe('ok');
    rmSync(folder, { recursive: true });
  });

  it('say what the oldest request waits for, and when a pause ends', () => {
    const check = (change: Partial<PoolHealth>) =>
      judge({ ...WELL, ...pool(change) }).checks.find(({ id }) => id === 'pool');
    const request = (
      waitedMs: number,
      cause: 'key' | 'starting' | 'slot',
      name: string | null,
    ) => ({
      ...{ sessionId: null, kind: null, priority: 0, keys: [], waitedMs },
      waitsFor: { cause, name },
    });
    const queue = [
      request(1, 'slot', null),
      request(70_000, 'key', 'repo:web'),
      request(2, 'starting', 'x'),
    ];
    expect(check({ waiting: 3, oldestWaitMs: 70_000, queue })?.summary).toBe(
      '3 requests wait, the oldest for 70 s, for the key "repo:web"; 1 of 2 slots are held.',
    );
    const paused = { reason: 'deploy', since: 1, until: 1000 };
    expect(check({ waiting: 2, paused })).toMatchObject({
      summary: 'The pool is paused (deploy), and 2 requests wait.',
      advice: expect.stringContaining('1970-01-01T00:00:01.000Z'),
    });
  });

  it('keep their ids and their order', () => {
    expect(judge(WELL).checks.map(({ id }) => id)).toEqual([
      ...[
        'guardian',
        'rlimit-tag',
        'init',
        'survivors',
        'orphans',
        'foreign',
        'state-dir',
        'stale-files',
      ],
      ...['identity', 'zombies', 'pool', 'sessions', 'services', 'clock', 'open-files', 'tasks'],
      ...['depth', 'environment'],
    ]);
  });

  it('leave out, from outside the host, what only the host can know', () => {
    expect(judge({ ...WELL, supervisor: null }).checks.map(({ id }) => id)).toEqual([
      ...['orphans', 'foreign', 'state-dir', 'stale-files', 'identity', 'sessions', 'services'],
      ...['clock', 'open-files', 'tasks', 'depth', 'environment'],
    ]);
  });

  it('name the first few, with the total count', () => {
    const survivors = ['a', 'b', 'c', 'd'];
    const check = judge({ ...WELL, survivors }).checks.find(({ id }) => id === 'survivors');
    expect(check?.summary).toMatch(/^4 processes \(a, b, c, …\) could not be ended/);
  });
});
