// Daemons and their launchers as processes of their own, and what they have written down.
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

/** A check by its name, a regular expression as text. */
type WrittenReady = Readonly<Record<string, unknown>>;
export type LauncherOptions = Partial<Omit<DaemonOptions, 'ready'>> & {
  readonly ready?: WrittenReady;
};

/** What a launcher prints. */
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
  /** Resolves when it has said that it holds the lock. */
  line(): Promise<Readonly<Record<string, unknown>>>;
}

/**
 * The scripts as one file each, as users have us: fifty launchers that read all of our sources would
 * measure nothing but that. Returns the folder that they are in.
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

/** A folder with a pid file, a port, and launchers for the daemon that they belong to. */
export class DaemonRig {
  readonly area: Area;
  /** Where the scripts are. */
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

  /** Options for a daemon that is one by `runAsDaemon` and listens at the rig's port. */
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

  /** Starts a launcher; `through` is what it is started through. */
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

  /** The same for a daemon that has to come of it. */
  async ensured(
    options?: LauncherOptions,
    more?: { env?: Record<string, string> },
  ): Promise<DaemonReport> {
    const result = await this.ensure(options, more);
    if (result.report === undefined) throw new Error(JSON.stringify(result));
    return result.report;
  }

  /** The daemons that are alive, whoever has started them. */
  daemons(): ProcessRow[] {
    return this.area.tree().filter(({ args }) => args[1] === this.#script('daemon'));
  }

  /** Signals the one daemon that is alive. */
  signalDaemon(signal: NodeJS.Signals): void {
    const [daemon, ...others] = this.daemons();
    if (daemon === undefined || others.length > 0) throw new Error('there is not one daemon');
    process.kill(daemon.pid, signal);
  }

  /** Ends the one daemon that is alive, and expects that nothing else is. */
  async endDaemon(): Promise<void> {
    const daemons = this.daemons();
    if (daemons.length !== 1) throw new Error(`there are ${daemons.length} daemons`);
    endByIdentity(daemons);
    await eventually(() => this.area.tree().length === 0, { what: 'nothing is left of it' });
  }

  file(): PidFile | undefined {
    return existsSync(this.pidFile) ? JSON.parse(readFileSync(this.pidFile, 'utf8')) : undefined;
  }

  /** What the daemons have written down, in order: `listens 4242 1`. */
  entries(what: 'starts' | 'listens' | 'exits' | 'hook'): string[] {
    if (!existsSync(this.diary)) return [];
    const lines = readFileSync(this.diary, 'utf8').split('\n');
    return lines.filter((line) => line.startsWith(`${what} `));
  }

  #script(name: string): string {
    return join(this.scripts, `${name}.mjs`);
  }

  /** SIGKILLs exactly this process, and waits until it is gone. */
  async kill(pid: number): Promise<void> {
    const row = readRow(pid);
    if (row === undefined) throw new Error(`there is no process ${pid}`);
    endByIdentity([row]);
    await eventually(() => readRow(pid)?.startTime !== row.startTime);
  }
}

/** For what takes a machine that is busy with other things as long as it takes. */
export const PATIENCE = { timeoutMs: 110_000 };
export const TIMEOUT_MS = 120_000;

/** A test with a daemon's place of its own, at whose end nothing of it may be alive. */
export const it = base
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it that there is nothing to wait for.
  .extend('scripts', { scope: 'file' }, async ({}, { onCleanup }) => {
    const folder = await bundleScripts();
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend('rig', async ({ area, scripts }) => new DaemonRig(area, scripts, await freePort()));

/** A port that nobody listened at a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
