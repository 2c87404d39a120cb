// Daemons and their launchers as separate processes, and the files that they write.
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import type { DaemonOptions, DaemonReport } from '../src/daemon/index.ts';
import type { PidFile } from '../src/store/pid-record.ts';
import type { DaemonHow } from '../test/fixtures/hosts/daemon.ts';
import { type Area, it as base } from './containment.ts';
import { endByIdentity, eventually, type ProcessRow, readRow } from './process-table.ts';
import { startProgram } from './start-program.ts';

const ROOT = join(import.meta.dirname, '..');
const SCRIPTS = ['daemon', 'launcher', 'naive-launcher', 'contender', 'validate'];

/** A readiness check as JSON, with a regular expression as text. */
type WrittenReady = Readonly<Record<string, unknown>>;
export type LauncherOptions = Partial<Omit<DaemonOptions, 'ready'>> & {
  readonly ready?: WrittenReady;
};

/** The output of a launcher. */
export interface LauncherResult {
  readonly report?: DaemonReport;
  readonly code?: string;
  readonly message?: string;
  readonly cause?: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly ms: number;
}

export interface Launcher {
  readonly child: ChildProcess;
  readonly result: Promise<LauncherResult>;
  /** Resolves when it has printed that it holds the lock. */
  line(): Promise<Readonly<Record<string, unknown>>>;
}

/**
 * Bundles each script into one file, as users run it, and returns the folder. Fifty launchers that load
 * all sources would measure only the loading.
 */
async function bundleScripts(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-daemons-')));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const input = SCRIPTS.map((name) => join(ROOT, 'test/fixtures/hosts', `${name}.ts`));
  const bundle = await rolldown({ input, external: /^[^./]/, platform: 'node' });
  await bundle.write({ dir: folder, entryFileNames: '[name].mjs' });
  await bundle.close();
  return folder;
}

/** A folder with a pid file, a port and launchers for one daemon. */
export class DaemonRig {
  readonly area: Area;
  /** The folder of the scripts. */
  readonly scripts: string;
  readonly folder: string;
  readonly pidFile: string;
  readonly diary: string;
  readonly port: number;

  constructor(area: Area, scripts: string, port: number) {
    this.area = area;
    this.scripts = scripts;
    this.port = port;
    this.folder = join(area.folder, 'daemon');
    this.pidFile = join(this.folder, 'test.pid');
    this.diary = join(area.folder, 'diary');
    mkdirSync(this.folder, { mode: 0o700 });
  }

  /** Options for a daemon that uses `runAsDaemon` and listens at the rig's port. */
  options(how: DaemonHow = {}, more: LauncherOptions = {}): LauncherOptions {
    return {
      name: 'test',
      command: process.execPath,
      args: [this.#script('daemon'), JSON.stringify(this.how(how))],
      pidFile: this.pidFile,
      ready: { port: this.port },
      ...more,
    };
  }

  how(how: DaemonHow = {}): DaemonHow {
    const { diary, area } = this;
    return { listen: { port: this.port }, run: true, diary, stateDir: area.stateDir, ...how };
  }

  /** Starts a launcher; `through` is a command prefix for it. */
  start(
    options: LauncherOptions = this.options(),
    {
      afterwards,
      env = {},
      script = 'launcher',
      through = [],
    }: {
      afterwards?: 'stay' | 'held';
      env?: Record<string, string>;
      script?: string;
      through?: readonly string[];
    } = {},
  ): Launcher {
    const more = afterwards === undefined ? [] : [afterwards];
    const command = [
      ...through,
      process.execPath,
      this.#script(script),
      JSON.stringify(options),
      ...more,
    ];
    const program = startProgram(command, {
      env: { ...this.area.env, ...env },
      cwd: this.area.folder,
    });
    const line = async () => JSON.parse(await program.line());
    const result = line();
    result.catch(() => undefined);
    return { child: program.child, line, result };
  }

  /** Runs a launcher to its end. */
  async ensure(
    options?: LauncherOptions,
    more?: { env?: Record<string, string>; script?: string },
  ): Promise<LauncherResult> {
    const launcher = this.start(options, more);
    const exited = new Promise((resolve) => launcher.child.once('exit', resolve));
    const result = await launcher.result;
    await exited;
    return result;
  }

  /** Runs a launcher to its end, and expects a daemon. */
  async ensured(
    options?: LauncherOptions,
    more?: { env?: Record<string, string> },
  ): Promise<DaemonReport> {
    const result = await this.ensure(options, more);
    if (result.report === undefined) throw new Error(JSON.stringify(result));
    return result.report;
  }

  /** Lists the live daemons, of any launcher. */
  daemons(): ProcessRow[] {
    return this.area.tree().filter(({ args }) => args[1] === this.#script('daemon'));
  }

  /** Signals the one daemon that is alive. */
  signalDaemon(signal: NodeJS.Signals): void {
    const [daemon, ...others] = this.daemons();
    if (daemon === undefined || others.length > 0) throw new Error('there is not one daemon');
    process.kill(daemon.pid, signal);
  }

  /** Ends the one live daemon, and expects no other. */
  async endDaemon(): Promise<void> {
    const daemons = this.daemons();
    if (daemons.length !== 1) throw new Error(`there are ${daemons.length} daemons`);
    endByIdentity(daemons);
    await eventually(() => this.area.tree().length === 0, { what: 'nothing is left of it' });
  }

  file(): PidFile | undefined {
    return existsSync(this.pidFile) ? JSON.parse(readFileSync(this.pidFile, 'utf8')) : undefined;
  }

  /** Lists the lines that the daemons have written, in order: `listens 4242 1`. */
  entries(what: 'starts' | 'listens' | 'exits' | 'hook'): string[] {
    if (!existsSync(this.diary)) return [];
    const lines = readFileSync(this.diary, 'utf8').split('\n');
    return lines.filter((line) => line.startsWith(`${what} `));
  }

  #script(name: string): string {
    return join(this.scripts, `${name}.mjs`);
  }

  /** Sends SIGKILL to exactly this process, and waits until it is dead. */
  async kill(pid: number): Promise<void> {
    const row = readRow(pid);
    if (row === undefined) throw new Error(`there is no process ${pid}`);
    endByIdentity([row]);
    await eventually(() => readRow(pid)?.startTime !== row.startTime);
  }
}

/** For work that takes long on a busy machine. */
export const PATIENCE = { timeoutMs: 110_000 };
export const TIMEOUT_MS = 120_000;

/** A test with a daemon rig; no daemon of it may be alive at the end. */
export const it = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it that there is nothing to wait for.
  .extend('scripts', { scope: 'file' }, async ({}, { onCleanup }) => {
    const folder = await bundleScripts();
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend('rig', async ({ area, scripts }) => new DaemonRig(area, scripts, await freePort()));

/** Finds a port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
