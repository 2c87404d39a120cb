// The doctor on real processes, of this host and of others, alive and dead.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import {
  CAN_CONTAIN,
  it as inArea,
  LADDER,
  SLEEPER,
  TREE_ROLES,
} from '../../../kit/containment.ts';
import { forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { createSupervisor, type Supervisor, type SupervisorOptions } from '../../../src/index.ts';
import { doctor } from '../../../src/inspect/doctor.ts';
import type { DoctorReport } from '../../../src/inspect/report.ts';
import { doctorReport, doctorReportSchema } from '../../../src/inspect/schema.ts';
import { systemOs } from '../../../src/os/system.ts';
import { defineService } from '../../../src/service/index.ts';

const it = inArea.extend('supervise', async ({ area }, { onCleanup }) => {
  const all: Supervisor[] = [];
  onCleanup(async () => {
    for (const supervisor of all) await supervisor.stop();
  });
  return (options: SupervisorOptions = {}): Supervisor => {
    const { stateDir } = area;
    const supervisor = createSupervisor({ stateDir, ladder: LADDER, ...options });
    all.push(supervisor);
    return supervisor;
  };
});

/** Makes a report, and checks every field against the schema. */
async function examine(supervisor: Supervisor): Promise<DoctorReport> {
  const report = await doctor(supervisor);
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  expect(doctorReport.parse(report)).toEqual(report);
  return report;
}

const statusOf = ({ checks }: DoctorReport, wanted: string) =>
  checks.find(({ id }) => id === wanted)?.status;

describe.runIf(CAN_CONTAIN)('the doctor', () => {
  it('finds nothing before the first start, and writes nothing', async ({ area, supervise }) => {
    const supervisor = supervise({ stateDir: join(area.folder, 'none') });
    const report = await examine(supervisor);
    expect(report).toMatchObject({
      version: 1,
      supervisor: { state: 'new', instance: null, guardian: { state: 'closed', pid: null } },
      owners: [],
      processes: [],
      sessions: [],
      services: [],
      stateDir: { exists: false, mode: null, files: [], bytes: 0 },
      ends: [],
    });
    expect(readdirSync(area.folder)).not.toContain('none');
  });

  it('shows a process with its tree, its limits and the time it has left', async ({
    area,
    supervise,
  }) => {
    const supervisor = supervise({ session: { maxWallClockMs: 60_000 } });
    const before = Date.now();
    const child = supervisor.spawn({
      command: 'sh',
      args: ['-c', 'setsid sleep 300 & sleep 301'],
      kind: 'tool',
      env: area.env,
      sessionId: 7,
      limits: { lifetimeMs: 30_000, memoryBytes: 1e9 },
    });
    await child.started;
    await eventually(() => area.tree().filter(({ args }) => args[0] === 'sleep').length === 2);
    supervisor.charge(7, { usd: 1.5, tokens: 10 });
    const { processes, sessions, supervisor: own, owners } = await examine(supervisor);
    expect(owners).toMatchObject([{ verdict: 'ours', pid: process.pid, processes: 1 }]);
    expect(own).toMatchObject({ state: 'running', guardian: { state: 'guarding' }, spentUsd: 1.5 });
    expect(own?.pool).toMatchObject({ running: 0, waiting: 0, live: 1, concurrency: 2 });
    const [shown] = processes;
    expect(shown).toMatchObject({
      id: child.id,
      owner: own?.instance,
      pid: child.pid,
      command: 'sh',
      kind: 'tool',
      sessionId: '7',
      identity: 'alive',
      state: 'running',
      holdsSlot: false,
      outlivesHost: false,
      disowned: false,
      cleanup: null,
      limits: { startupMs: null, idleMs: null, memoryBytes: 1e9, lifetimeMs: 30_000 },
    });
    expect(shown?.descendants.map(({ command }) => command)).toEqual(['sleep', 'sleep']);
    expect(shown?.rssBytes).toBeGreaterThan(1e5);
    expect(shown?.startedAt).toBeGreaterThanOrEqual(before);
    expect(shown?.lifetimeLeftMs).toBeGreaterThan(0);
    expect(shown?.lifetimeLeftMs).toBeLessThanOrEqual(30_000);
    expect(shown?.sessionLeftMs).toBeGreaterThan(0);
    expect(sessions).toMatchObject([
      { id: '7', live: 1, started: 1, spentUsd: 1.5, spentTokens: 10, maxWallClockMs: 60_000 },
    ]);
  });

  it('shows waiting requests, the next one first', async ({ area, supervise }) => {
    const supervisor = supervise({ pool: { concurrency: 1 } });
    const request = { ...SLEEPER, kind: 'agent', env: area.env };
    const agent = supervisor.spawn(request);
    await agent.started;
    const later = supervisor.spawn({ ...request, sessionId: 'later' });
    const sooner = supervisor.spawn({ ...request, sessionId: 'sooner', priority: 1 });
    for (const waiting of [later, sooner]) waiting.started.catch(() => undefined);
    const { supervisor: own, processes } = await examine(supervisor);
    expect(own?.pool).toMatchObject({
      running: 1,
      waiting: 2,
      queue: [
        { sessionId: 'sooner', priority: 1 },
        { sessionId: 'later', priority: 0 },
      ],
    });
    expect(own?.pool.oldestWaitMs).toBeGreaterThan(0);
    expect(processes.map(({ id, holdsSlot }) => [id, holdsSlot])).toEqual([[agent.id, true]]);
  });

  it('shows services, and how each process ended', async ({ area, supervise }) => {
    const supervisor = supervise();
    const service = defineService(supervisor, {
      name: 'echo',
      ...{ command: 'sh', args: ['-c', 'echo ready; exec sleep 300'], env: area.env },
      ready: { stdout: /ready/ },
    });
    const { pid } = await service.ensure();
    const open = await examine(supervisor);
    expect(open.services).toEqual([
      { name: 'echo', state: 'ready', pid, failures: 0, openForMs: 0 },
    ]);
    await service.close();
    const tool = supervisor.spawn({ command: 'sh', args: ['-c', 'exit 3'], kind: 'tool' });
    await tool.exited;
    const { ends } = await examine(supervisor);
    expect(ends).toMatchObject([
      { id: tool.id, cause: 'failed', code: 3, signal: null, kind: 'tool', command: 'sh' },
      { pid, cause: 'terminated' },
    ]);
  });

  it('shows the ends after stop(), and opens nothing again', async ({ area, supervise }) => {
    const supervisor = supervise();
    const child = supervisor.spawn({ ...SLEEPER, env: area.env });
    await child.started;
    await supervisor.stop();
    const names = readdirSync(area.stateDir);
    const report = await examine(supervisor);
    expect(report).toMatchObject({
      supervisor: { state: 'stopped', guardian: { state: 'closed' } },
      owners: [],
      ends: [{ id: child.id, cause: 'shutdown' }],
    });
    expect(readdirSync(area.stateDir)).toEqual(names);
  });

  it('tells live processes from dead ones and from recycled pids', async ({ area, supervise }) => {
    const supervisor = supervise();
    await supervisor.start();
    const other = await area.readyHost();
    await other.growTree();
    const innocent: ChildProcess = spawn('sleep', ['300'], { env: area.env });
    const row = await eventually(() => readRow(innocent.pid ?? 0));
    forgeJournal(area.stateDir, {
      records: [
        recordOf({ pid: row.pid, startTime: '12345' }, 'recycled'),
        recordOf({ pid: 4_000_000, startTime: '1' }, 'gone'),
        { ...recordOf(row, 'unproven'), startTime: undefined },
        { ...recordOf(row, 'rebooted'), bootId: 'another' },
        { ...recordOf(row, 'elsewhere'), pidNamespace: 'another' },
      ],
    });
    forgeJournal(area.stateDir, {
      owner: { instance: 'FarAwayOwner', machine: 'far away', bootId: 'another' },
    });
    writeFileSync(join(area.stateDir, 'host-NoisyOwner.jsonl'), 'noise', { mode: 0o600 });
    const report = await examine(supervisor);
    const verdicts = Object.fromEntries(report.processes.map(({ id, identity }) => [id, identity]));
    for (const [id, identity] of Object.entries(verdicts))
      expect(identity).toBe(id.includes('-') ? 'alive' : id);
    expect(Object.keys(verdicts)).toHaveLength(6);
    expect(report.owners.map(({ verdict }) => verdict).sort()).toEqual([
      ...['alive', 'dead', 'elsewhere', 'ours'],
    ]);
    const tree = report.processes.find(({ id }) => id.includes('-'));
    expect(tree).toMatchObject({ state: null, holdsSlot: null, limits: null });
    expect(tree?.descendants).toHaveLength(TREE_ROLES.length - 1);
    expect(report.checks.filter(({ status }) => status !== 'ok')).toMatchObject([
      { id: 'orphans', status: 'warn' },
      { id: 'foreign', status: 'warn' },
      { id: 'identity', status: 'warn' },
    ]);
    expect(isAlive(row)).toBe(true);
    innocent.kill('SIGKILL');
    await other.ask({ do: 'stop' });
  });

  it('changes nothing', async ({ area, supervise }) => {
    const supervisor = supervise();
    const child = supervisor.spawn({ ...SLEEPER, env: area.env, sessionId: 's' });
    await child.started;
    await supervisor.start();
    forgeJournal(area.stateDir, { records: [recordOf({ pid: 4_000_000, startTime: '1' })] });
    const picture = () =>
      readdirSync(area.stateDir).map((name) => {
        const path = join(area.stateDir, name);
        return [
          name,
          statSync(path).mtimeMs,
          statSync(path).isFile() ? readFileSync(path, 'utf8') : '',
        ];
      });
    const before = picture();
    await examine(supervisor);
    await Promise.all([examine(supervisor), examine(supervisor)]);
    expect(picture()).toEqual(before);
    expect(child.exitCode).toBeNull();
  });

  it('reports files that other users can read or write', async ({ area, supervise }) => {
    const supervisor = supervise();
    await supervisor.start();
    const at = (name: string) => join(area.stateDir, name);
    writeFileSync(at('session-readable.jsonl'), 'x', { mode: 0o644 });
    writeFileSync(at('writable'), '', { mode: 0o600 });
    chmodSync(at('writable'), 0o660);
    symlinkSync('/etc/passwd', at('link'));
    mkdirSync(at('folder'), { mode: 0o700 });
    const { stateDir, ...report } = await examine(supervisor);
    expect(stateDir.unsafe).toEqual([
      { file: 'link', why: 'it is a link' },
      { file: 'session-readable.jsonl', why: 'others can read it (mode 644)' },
      { file: 'writable', why: 'others can write it (mode 660)' },
    ]);
    expect(stateDir.files.find(({ kind }) => kind === 'folder')?.count).toBe(1);
    expect(statusOf(report as DoctorReport, 'state-dir')).toBe('fail');
  });

  it('shows names of environment variables, and no value', async ({ supervise }) => {
    const values: Record<string, string> = {
      CLAUDECODE: 'value-of-a-marker',
      CLAUDE_CODE_ENTRYPOINT: 'value-of-an-entrypoint',
      ANTHROPIC_API_KEY: 'value-of-a-login',
      https_proxy: 'http://value-of-a-proxy',
      HOME: '',
    };
    const kept = Object.keys(values).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, values);
    try {
      const report = await examine(supervise());
      expect(report.environment).toMatchObject({
        nested: true,
        markers: ['CLAUDECODE'],
        dropped: ['CLAUDECODE', 'CLAUDE_CODE_ENTRYPOINT'],
        missing: ['HOME'],
      });
      expect(report.environment.logins).toContain('ANTHROPIC_API_KEY');
      expect(report.environment.proxy).toContain('https_proxy');
      expect(JSON.stringify(report)).not.toContain('value-of');
    } finally {
      for (const [name, value] of kept) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  it('has a JSON Schema with the required fields', () => {
    const schema = doctorReportSchema() as { required: string[]; title: string };
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    expect(schema.title).toBe('DoctorReport');
    expect(schema.required).toEqual([
      ...['version', 'at', 'tookMs', 'status', 'checks', 'host', 'supervisor', 'owners'],
      ...['processes', 'sessions', 'machineSlots', 'services', 'stateDir', 'environment', 'ends'],
    ]);
  });

  it('names the host that made the report', async ({ supervise }) => {
    const { host } = await examine(supervise());
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(host).toMatchObject({
      pid: process.pid,
      platform: systemOs().platform,
      runtime: 'node',
      runtimeVersion: process.versions.node,
      packageVersion: version,
      depth: 0,
    });
    expect(host.openFiles?.used).toBeGreaterThan(3);
  });
});
