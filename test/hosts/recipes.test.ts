// What docs/recipes.md says to write, to the letter, below the real tools.
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect } from 'vitest';
import { hostProject } from '../../kit/bundled-host.ts';
import { CAN_UNSHARE, UNSHARE } from '../../kit/pid-namespace.ts';
import { endByMarker, eventually, findByMarker } from '../../kit/process-table.ts';
import { type Program, startProgram } from '../../kit/start-program.ts';
import { it as base, CAN_WATCH } from '../../kit/supervised.ts';
import { TOOLS, tool } from '../../kit/tools.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const RECIPES = join(ROOT, 'examples/recipes');
const MARKER = 'AGENT_SUPERVISOR_RECIPES_TEST';
const WAIT = { timeoutMs: 40_000, everyMs: 100 };

const [pm2, nodemon] = await Promise.all([tool('pm2'), tool('nodemon')]);
const project = await hostProject();
const { folder } = project;
const manifest = join(folder, 'package.json');
await cp(RECIPES, folder, { recursive: true });
const read = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as object;
await writeFile(
  manifest,
  JSON.stringify({ ...(await read(manifest)), ...(await read(join(folder, 'scripts.json'))) }),
);

afterAll(() => project.remove());

interface Place {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Starts a command in a process group of its own, as a terminal does. */
  start(...command: string[]): Program;
  /** Resolves when nobody is left, guardians included. */
  nobodyLeft(): Promise<unknown>;
}

const it = base.extend('place', async ({ home }, { onCleanup }): Promise<Place> => {
  const marker = randomUUID();
  const env = {
    ...process.env,
    ...{ [MARKER]: marker, AGENT_SUPERVISOR_STATE_DIR: join(home, 'state') },
    PATH: `${join(TOOLS, 'node_modules/.bin')}:${process.env['PATH']}`,
  };
  onCleanup(async () => void (await endByMarker(MARKER, marker)));
  return {
    home,
    env,
    start: (...command: string[]) => startProgram(['setsid', ...command], { cwd: folder, env }),
    nobodyLeft: () => eventually(() => findByMarker(MARKER, marker).length === 0, WAIT),
  };
});

const hosts = (output: string): number =>
  output.split('\n').filter((line) => /started/.test(line)).length;
const ends = (output: string): string[] => output.match(/(?:polite|forced) \S+/g) ?? [];

describe.runIf(CAN_WATCH)('the recipe', { timeout: 120_000 }, () => {
  it('for PM2: stop and restart end the agent politely', async ({ place }) => {
    const env = { ...place.env, PM2_HOME: join(place.home, 'pm2') };
    const command = (...args: string[]) =>
      run(process.execPath, [pm2, '--silent', ...args], { cwd: folder, env });
    const log = async (): Promise<string> => {
      const path = join(env.PM2_HOME, 'logs/host-out.log');
      return existsSync(path) ? readFile(path, 'utf8') : '';
    };
    try {
      await command('start', 'ecosystem.config.cjs');
      await eventually(async () => hosts(await log()) === 1, WAIT);
      await command('restart', 'host');
      await eventually(async () => hosts(await log()) === 2, WAIT);
      await command('stop', 'host');
      expect(ends(await log())).toEqual(['polite shutdown', 'polite shutdown']);
    } finally {
      await command('kill');
    }
    await place.nobodyLeft();
  });

  it('for nodemon: a change starts it anew, and Ctrl-C ends it', async ({ place }) => {
    const program = place.start(process.execPath, nodemon);
    await program.line('started');
    await writeFile(join(folder, 'changed.js'), '');
    await eventually(() => hosts(program.stdout) === 2, WAIT);
    process.kill(-program.pid, 'SIGINT');
    await program.end;
    expect(ends(program.stdout)).toEqual(['polite shutdown', 'polite shutdown']);
    await place.nobodyLeft();
  });

  it.for([
    ['start', 1],
    ['dev', 2],
  ] as const)('for npm run %s: Ctrl-C ends it', async ([script, count], { place }) => {
    const program = place.start('npm', 'run', script);
    await eventually(() => hosts(program.stdout) === count, WAIT);
    process.kill(-program.pid, 'SIGINT');
    await program.end;
    expect(ends(program.stdout)).toEqual(Array(count).fill('polite shutdown'));
    await place.nobodyLeft();
  });

  it('for esbuild: one file that runs', async ({ place }) => {
    await run('npm', ['run', 'build'], { cwd: folder, env: place.env });
    const program = place.start(process.execPath, join(folder, 'dist/host.mjs'));
    await program.line('started');
    program.kill('SIGTERM');
    expect(await program.end).toMatchObject({ signal: 'SIGTERM' });
    expect(ends(program.stdout)).toEqual(['polite shutdown']);
    await place.nobodyLeft();
  });

  const startVite = async (place: Pick<Place, 'start'>) => {
    const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
    const program = place.start(process.execPath, vite, '--host', '127.0.0.1', '--port', '41875');
    const ask = () => fetch('http://127.0.0.1:41875/agent').then((answer) => answer.text());
    const answer = () => eventually(() => ask().catch(() => undefined), WAIT);
    expect(await answer()).toMatch(/^started \d+/);
    return { program, answer };
  };

  it('for Vite: a dev server that restarts or closes ends the agent politely', async ({
    place,
  }) => {
    const { program, answer } = await startVite(place);
    const config = join(folder, 'vite.config.js');
    await writeFile(config, `${await readFile(config, 'utf8')}// changed\n`);
    await program.line('ended shutdown');
    expect(await answer()).toMatch(/^started \d+/);
    program.kill('SIGTERM');
    await program.end;
    expect(program.stdout.trimEnd().split('\n').at(-1)).toBe('ended shutdown');
    await place.nobodyLeft();
  });

  it('for Vite: Ctrl-C leaves nobody', async ({ place }) => {
    const { program } = await startVite(place);
    process.kill(-program.pid, 'SIGINT');
    await program.end;
    expect(program.stdout).not.toContain('ended');
    await place.nobodyLeft();
  });

  it.runIf(CAN_UNSHARE)(
    'for a container: as pid 1, SIGTERM ends it with 143',
    async ({ place }) => {
      const docker = await readFile(join(folder, 'Dockerfile'), 'utf8');
      const command = JSON.parse(/^CMD (.*)$/m.exec(docker)?.[1] ?? '') as string[];
      expect(command[0]).toBe('node');
      const program = startProgram([...UNSHARE, process.execPath, ...command.slice(1)], {
        ...{ cwd: folder, env: place.env },
      });
      await program.line('started');
      const init = await eventually(() =>
        findByMarker(MARKER, place.env[MARKER] ?? '').find(({ ppid }) => ppid === program.pid),
      );
      process.kill(init.pid, 'SIGTERM');
      expect(await program.end).toMatchObject({ code: 143 });
      expect(ends(program.stdout)).toEqual(['polite shutdown']);
      await place.nobodyLeft();
    },
  );

  const ANALYZE = ['systemd-analyze', 'verify'] as const;
  const canAnalyze = spawnSync(ANALYZE[0], ['--version']).status === 0;
  it.runIf(canAnalyze)('for systemd: its unit is one that systemd takes', async ({ place }) => {
    const unit = await readFile(join(RECIPES, 'agent-host.service'), 'utf8');
    const verify = async (text: string) => {
      const path = join(place.home, 'agent-host.service');
      await writeFile(path, text.replace('/usr/bin/node', process.execPath));
      return spawnSync(ANALYZE[0], [ANALYZE[1], path], { encoding: 'utf8' }).stderr;
    };
    expect(await verify(unit)).toBe('');
    // Control: it reads the file.
    expect(await verify(unit.replace('KillMode=mixed', 'KillMode=some'))).toContain('kill mode');
  });
});
