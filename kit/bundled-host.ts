// A host of test/fixtures/bundled-host, built by a third-party bundler or run by a third-party loader.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { installPacked, pack } from './packed.ts';
import { endByMarker, eventually, findByMarker, readRow } from './process-table.ts';
import { type Program, startProgram } from './start-program.ts';

const run = promisify(execFile);
const MARKER = 'AGENT_SUPERVISOR_BUNDLED_TEST';
/**
 * Longest time from a host's death to that of its processes: its ladder takes 1.5 s, and more on a busy
 * machine.
 */
const GRACE_MS = 15_000;

/** The report of {@link once} of the fixture for a host that works. */
const WELL = {
  ...{ cause: 'completed', output: 'hello', served: true, sampled: true },
  ...{ survivors: [], warnings: [] },
};

/** A project with the packed package installed, and a host that uses it. */
export interface HostProject {
  readonly folder: string;
  remove(): Promise<void>;
  /** Bundles the host with a tool, and moves the bundle to a folder without node_modules. */
  bundle(tool: string, ...tools: readonly string[]): Promise<{ folder: string; file: string }>;
}

export async function hostProject(): Promise<HostProject> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-bundled-')));
  const folder = join(root, 'project');
  await installPacked(await pack(root), 'bundled-host', folder);
  return {
    folder,
    remove: () => rm(root, { recursive: true, force: true, maxRetries: 5 }),
    async bundle(tool, ...tools) {
      const out = await mkdtemp(join(root, `${tool}-`));
      const args = ['bundle.mjs', tool, out, ...tools];
      const { stdout } = await run(process.execPath, args, { cwd: folder, timeout: 120_000 });
      const file = stdout.trim().split('\n').at(-1) ?? '';
      // Outside of any node_modules, which would hide a missing file.
      const elsewhere = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-host-')));
      await cp(dirname(file), elsewhere, { recursive: true });
      return { folder: elsewhere, file: file.replace(dirname(file), elsewhere) };
    },
  };
}

/** One run of a host, whose whole tree carries a marker. */
class Run {
  readonly #marker = randomUUID();
  readonly #stateDir: string;
  readonly program: Program;

  constructor(command: readonly string[], cwd: string, stateDir: string, env: NodeJS.ProcessEnv) {
    this.#stateDir = stateDir;
    this.program = startProgram(command, {
      cwd,
      env: { ...process.env, STATE_DIR: stateDir, [MARKER]: this.#marker, ...env },
    });
  }

  /** Lists its live processes, without the one that started the host (a loader's own process). */
  left(): number[] {
    const rows = findByMarker(MARKER, this.#marker);
    return rows.map(({ pid }) => pid).filter((pid) => pid !== this.program.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endByMarker(MARKER, this.#marker);
    await this.program.end.catch(() => undefined);
    await rm(this.#stateDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function start(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  const stateDir = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-state-')));
  return new Run(command, cwd, stateDir, env);
}

/** Expects a host to start, serve and end processes, and its guardian to end them after a SIGKILL. */
export async function expectWholeLife(command: readonly string[], cwd: string): Promise<void> {
  await expectService(command, cwd);
  await using host = await start([...command, 'stay'], cwd);
  await killHost(await host.program.line('ready '));
  await eventually(() => host.left().length === 0, { timeoutMs: GRACE_MS, what: 'all are dead' });
}

/** Expects a host to start, serve and end processes. */
export async function expectService(command: readonly string[], cwd: string): Promise<void> {
  await using host = await start([...command, 'once'], cwd);
  const line = await host.program.line('{');
  expect(JSON.parse(line)).toEqual(WELL);
}

/**
 * Starts a host that only starts its supervisor; returns its warnings and the number of its processes.
 */
export async function guardedStart(command: readonly string[], cwd: string) {
  await using host = await start([...command, 'guard'], cwd);
  const { warnings } = JSON.parse(await host.program.line('{')) as { warnings: string[] };
  // The host runs on for a moment, so that a process it starts is counted.
  return { warnings, others: host.left().length };
}

/** The control: without a guardian the processes live on. Returns their number. */
export async function survivorsWithoutGuardian(
  command: readonly string[],
  cwd: string,
): Promise<number> {
  await using host = await start([...command, 'stay'], cwd, { WITHOUT_GUARDIAN: 'yes' });
  await killHost(await host.program.line('ready '));
  await host.program.end.catch(() => undefined);
  return host.left().length;
}

/** Expects the same of a server that answers at `/life`, once it has printed its address. */
export async function expectServer(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
  url: string,
): Promise<void> {
  await using host = await start(command, cwd, env);
  const ask = async (query: string) => {
    const response = await fetch(`${url}/life${query}`);
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status}: ${text} ${host.program.stderr}`);
    return JSON.parse(text) as { pid: number };
  };
  await eventually(async () => (await fetch(url).catch(() => undefined)) !== undefined, {
    timeoutMs: 60_000,
    everyMs: 100,
    what: 'it listens',
  });
  expect(await ask('')).toEqual(WELL);
  const { pid } = await ask('?stay');
  await killHost(`ready ${pid}`);
  await eventually(() => host.left().length === 0, { timeoutMs: GRACE_MS, what: 'all are dead' });
}

/** Expects a watcher to restart the host after a change, with no process of the earlier host left. */
export async function expectWatched(
  command: readonly string[],
  cwd: string,
  change: () => Promise<void>,
): Promise<{ before: number; after: number }> {
  await using watcher = await start([...command, 'stay'], cwd);
  const before = Number((await watcher.program.line('ready ')).split(' ')[1]);
  const tree = watcher.left();
  await change();
  const started = () =>
    watcher.program.stdout.split('\n').flatMap((line) => /^ready (\d+)$/.exec(line)?.[1] ?? []);
  const after = await eventually(
    () =>
      started()
        .map(Number)
        .find((pid) => pid !== before),
    {
      timeoutMs: 30_000,
      what: 'the host is started again',
    },
  );
  const old = () => watcher.left().filter((pid) => tree.includes(pid));
  await eventually(() => old().length === 0, { timeoutMs: GRACE_MS, what: 'the old tree is gone' });
  return { before, after };
}

async function killHost(ready: string): Promise<void> {
  const row = readRow(Number(ready.split(' ')[1]));
  if (row === undefined) throw new Error('the host is gone before it is killed');
  process.kill(row.pid, 'SIGKILL');
}
