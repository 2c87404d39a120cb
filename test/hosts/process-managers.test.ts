// Hosts below the process managers of others, ended as people end them: nobody is left, and what
// may end politely does.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import {
  endByIdentity,
  eventually,
  findByMarker,
  isAlive,
  type ProcessRow,
  readRow,
} from '../../kit/process-table.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { startProgram } from '../../kit/start-program.ts';
import { it as base, CAN_WATCH } from '../../kit/supervised.ts';
import { library, tool } from '../../kit/tools.ts';

const run = promisify(execFile);
const HOST = join(import.meta.dirname, '../fixtures/hosts/managed.ts');
const NODE = process.execPath;
const SOON = { timeout: 60_000 };
const WAIT = { timeoutMs: 40_000, everyMs: 100 };
const LADDER_MS = 8000;

const [pm2, nodemon, concurrently] = await Promise.all([
  tool('pm2'),
  tool('nodemon'),
  tool('concurrently'),
]);
const signalExits = await Promise.all([library('signal-exit'), library('signal-exit-3')]);

interface Place {
  readonly home: string;
  /** What all hosts have said, in order. */
  log(): string[];
  /** Resolves when so many hosts have been ready. */
  ready(count: number): Promise<void>;
  /** Resolves when nobody of the hosts' trees is left, guardians included. */
  nobodyLeft(): Promise<void>;
}

const it = base.extend('place', ({ home, marker }): Place => {
  const path = join(home, 'log');
  const log = () => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []);
  return {
    home,
    log,
    ready: async (count) => {
      const isReady = () => log().filter((line) => line.startsWith('ready')).length >= count;
      await eventually(isReady, { ...WAIT, what: `${count} hosts are ready` });
    },
    nobodyLeft: async () => {
      await eventually(() => findByMarker(MARKER, marker).length === 0, WAIT);
    },
  };
});

/** A command in a process group of its own, as a terminal starts one; its own Ctrl-C reaches all of it. */
const inTerminal = (command: readonly string[], cwd: string) => {
  const program = startProgram(['setsid', ...command], { cwd, env: { ...process.env, CI: '1' } });
  return { ...program, ctrlC: () => process.kill(-program.pid, 'SIGINT') };
};

/** Writes that a file has changed. */
const touch = (path: string) => utimesSync(path, new Date(), new Date());

describe.runIf(CAN_WATCH)('below PM2', { timeout: 120_000 }, () => {
  const COUNT = 5;
  const withPm2 = it.extend('manager', async ({ place, marker }, { onCleanup }) => {
    const { home } = place;
    const env = { ...process.env, PM2_HOME: join(home, 'pm2') };
    const command = (...args: string[]) => run(NODE, [pm2, '--silent', ...args], { env });
    onCleanup(async () => {
      const pid = Number(readFileSync(join(env.PM2_HOME, 'pm2.pid'), 'utf8'));
      const daemon = readRow(pid);
      await command('kill');
      if (daemon !== undefined) endByIdentity([daemon]);
    });
    return {
      command,
      /** Starts five hosts at PM2's own defaults. */
      start: async (mode: string, options = {}) => {
        const config = join(home, 'apps.json');
        const app = {
          ...{ name: 'host', script: HOST, cwd: home, exec_mode: mode, instances: COUNT },
          ...{
            args: [home, marker, JSON.stringify(options)],
            interpreter: NODE,
            autorestart: false,
          },
        };
        writeFileSync(config, JSON.stringify({ apps: [app] }));
        await command('start', config);
        await place.ready(COUNT);
      },
    };
  });

  withPm2.for(['fork', 'cluster'])(
    'stop in %s mode leaves nobody of five hosts',
    async (mode, { place, manager }) => {
      await manager.start(mode);
      await manager.command('stop', 'host');
      await place.nobodyLeft();
    },
  );

  // PM2 sends SIGKILL before the ladder is over, and no further than children of children.
  withPm2(
    'negative control: without a guardian an orphan lives on',
    async ({ place, manager, marker }) => {
      await manager.start('fork', { guardian: false });
      await manager.command('stop', 'host');
      await eventually(
        () => findByMarker(MARKER, marker).every(({ args }) => args[0] === 'sleep'),
        WAIT,
      );
      const left = findByMarker(MARKER, marker);
      endByIdentity(left);
      expect(left).toHaveLength(COUNT);
      await place.nobodyLeft();
    },
  );

  withPm2.for([
    ['restart', 'fork'],
    ['reload', 'cluster'],
  ] as const)(
    '%s in %s mode leaves nobody of the five before',
    async ([action, mode], { place, manager, marker }) => {
      await manager.start(mode);
      const before: ProcessRow[] = findByMarker(MARKER, marker);
      await manager.command(action, 'host');
      await place.ready(2 * COUNT);
      await eventually(() => !before.some(isAlive), WAIT);
      await manager.command('stop', 'host');
      await place.nobodyLeft();
    },
  );
});

describe.runIf(CAN_WATCH)('a Ctrl-C', SOON, () => {
  it.for(['bash', 'dash'])(
    'below npm run, with %s as its shell, ends all politely',
    async (shell, { place, marker }) => {
      const scripts = { start: `${NODE} ${HOST} ${place.home} ${marker}` };
      writeFileSync(join(place.home, 'package.json'), JSON.stringify({ scripts }));
      const npm = ['npm', 'run', `--script-shell=${shell}`, 'start'];
      const { ctrlC, end } = inTerminal(npm, place.home);
      await place.ready(1);
      ctrlC();
      await end;
      await place.nobodyLeft();
      expect(place.log().slice(1)).toEqual(['stopping SIGINT', 'polite']);
    },
  );

  it('below concurrently ends all of two hosts politely', async ({ place, marker }) => {
    const host = `${NODE} ${HOST} ${place.home} ${marker}`;
    const { ctrlC, end } = inTerminal([NODE, concurrently, host, host], place.home);
    await place.ready(2);
    ctrlC();
    await end;
    await place.nobodyLeft();
    const said = place.log().slice(2);
    expect(said.filter((line) => line === 'stopping SIGINT')).toHaveLength(2);
    expect(said.filter((line) => line === 'polite')).toHaveLength(2);
  });
});

describe.runIf(CAN_WATCH)('a changed file', SOON, () => {
  it('lets nodemon restart a host that ends politely, by SIGUSR2', async ({ place, marker }) => {
    const watched = join(place.home, 'watched.js');
    writeFileSync(watched, '');
    const args = ['--watch', watched, '--exec', NODE, HOST, place.home, marker];
    const { pid, end, kill } = inTerminal([NODE, nodemon, ...args], place.home);
    await place.ready(1);
    const before = findByMarker(MARKER, marker);
    touch(watched);
    await place.ready(2);
    await eventually(() => !before.some(isAlive), WAIT);
    expect(place.log().slice(1, 3)).toEqual(['stopping SIGUSR2', 'polite']);
    process.kill(-pid, 'SIGINT');
    await end;
    await place.nobodyLeft();
    kill('SIGKILL');
  });

  it('lets node --watch restart a host, and end it', async ({ place, marker }) => {
    const entry = join(place.home, 'entry.mjs');
    writeFileSync(entry, `import ${JSON.stringify(HOST)};`);
    const command = [NODE, '--watch', `--watch-path=${entry}`, entry, place.home, marker];
    const { ctrlC, end } = inTerminal(command, place.home);
    await place.ready(1);
    const before = findByMarker(MARKER, marker);
    touch(entry);
    await place.ready(2);
    await eventually(() => !before.some(isAlive), WAIT);
    expect(place.log().slice(1, 3)).toEqual(['stopping SIGTERM', 'polite']);
    ctrlC();
    await end;
    await place.nobodyLeft();
  });
});

describe.runIf(CAN_WATCH)('beside signal-exit', SOON, () => {
  const BESIDE = [
    ['4.x', signalExits[0]],
    ['3.x', signalExits[1]],
  ] as const;

  it.for(BESIDE)('%s a host dies of SIGTERM', async ([, folder], { place, marker }) => {
    const { kill, end } = startProgram([
      NODE,
      HOST,
      place.home,
      marker,
      JSON.stringify({ signalExit: folder }),
    ]);
    await place.ready(1);
    const beganMs = performance.now();
    kill('SIGTERM');
    expect(await end).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect(performance.now() - beganMs).toBeLessThan(LADDER_MS * 2);
    expect(place.log().slice(1)).toEqual(['stopping SIGTERM', 'polite', 'signal-exit']);
    await place.nobodyLeft();
  });
});
