// A hand-written report with a value in every field.
import type { DoctorReport, ProcessHealth } from '../src/inspect/report.ts';

const AT = Date.UTC(2026, 10, 26, 1, 2, 3);

export function sampleProcess(more: Partial<ProcessHealth> = {}): ProcessHealth {
  return {
    ...{ id: 'a-1', owner: 'instance-1', pid: 101, command: 'node', kind: 'agent' },
    ...{ sessionId: 'one', identity: 'alive', state: 'running', holdsSlot: true },
    keys: ['repo:web'],
    ...{
      outlivesHost: false,
      disowned: false,
      cleanup: null,
      startedAt: AT - 5000,
      ageMs: 5000,
      cpuPercent: 50,
    },
    ...{ rssBytes: 2_000_000, descendants: [{ pid: 102, command: 'sh', ppid: 101 }] },
    ...{ limits: null, lifetimeLeftMs: null, sessionLeftMs: 60_000 },
    ...more,
  };
}

export function sampleReport(more: Partial<DoctorReport> = {}): DoctorReport {
  return {
    ...{ version: 1, at: AT, tookMs: 12.5, status: 'warn' },
    checks: [
      { id: 'guardian', status: 'ok', summary: 'It guards.', advice: null },
      { id: 'state-dir', status: 'warn', summary: 'Others may read it.', advice: 'Give it 0700.' },
    ],
    host: {
      ...{ pid: 100, machine: 'box', platform: 'linux', arch: 'x64', runtime: 'node' },
      ...{ runtimeVersion: '24.0.0', packageVersion: '1.2.3', rssBytes: 80_000_000 },
      bundled: [{ name: 'execa', version: '10.2.1' }],
      ...{
        depth: 0,
        maxDepth: 4,
        openFiles: { used: 40, limit: 1024 },
        tasks: { used: 7, limit: null },
      },
    },
    supervisor: {
      ...{ instance: 'instance-1', state: 'running', spentUsd: 0.5 },
      pool: {
        ...{ concurrency: 2, running: 1, waiting: 1, oldestWaitMs: 1500, live: 1, hardCap: 10 },
        paused: { reason: 'deploy', since: AT - 3000, until: AT + 60_000 },
        queue: [
          {
            ...{ sessionId: 'two', kind: 'agent', priority: 0, keys: ['repo:web'], waitedMs: 1500 },
            waitsFor: { cause: 'key', name: 'repo:web' },
          },
        ],
        keys: [{ key: 'repo:web', running: 1, limit: 1 }],
      },
      guardian: { state: 'guarding', pid: 99 },
      rlimitTag: { limit: 'locks', reason: null },
    },
    owners: [
      {
        ...{ instance: 'instance-1', pid: 100, machine: 'box', verdict: 'ours' },
        ...{ openedAt: AT - 9000, processes: 1 },
      },
    ],
    processes: [sampleProcess()],
    sessions: [
      {
        ...{ id: 'one', createdAt: AT - 9000, ageMs: 9000, maxWallClockMs: 69_000, leftMs: 60_000 },
        ...{ expired: false, started: 3, live: 1, lastEnd: { at: AT - 7000, cause: 'crashed' } },
        ...{ spentUsd: 0.5, spentTokens: 12_345 },
      },
    ],
    machineSlots: [
      {
        ...{ kind: null, limit: 1, held: 1 },
        hosts: [
          {
            ...{ instance: 'instance-1', pid: 100, machine: 'box', verdict: 'ours', limit: 1 },
            ...{ held: 1, holders: ['a-1'] },
            waiting: [{ sessionId: 'two', waitedMs: 1500, why: 'slots-held' }],
          },
        ],
      },
    ],
    services: [{ name: 'index', state: 'ready', pid: 103, failures: 0, openForMs: 0 }],
    stateDir: {
      ...{ path: '~/state', exists: true, mode: '700', ownerUid: 0, bytes: 200, freeBytes: 1e9 },
      ...{ files: [{ kind: 'journal', count: 1, bytes: 200 }], unsafe: [] },
    },
    environment: {
      ...{ nested: false, markers: [], dropped: [], missing: [], proxy: [], logins: ['API_KEY'] },
    },
    ends: [
      {
        ...{
          at: AT - 7000,
          owner: 'instance-1',
          id: 'a-0',
          pid: 98,
          command: 'node',
          kind: 'agent',
        },
        ...{ sessionId: 'one', cause: 'crashed', code: null, signal: 'SIGSEGV', forced: false },
        durationMs: 1234,
      },
    ],
    ...more,
  };
}
