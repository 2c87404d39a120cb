// Hosts that other people's bundlers have made, run where no node_modules is.
import { execFile, spawnSync } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import {
  expectServer,
  expectService,
  expectWholeLife,
  guardedStart,
  hostProject,
} from '../../kit/bundled-host.ts';
import { runtime } from '../../kit/runtimes.ts';
import { bundlers } from '../../kit/tools.ts';

const run = promisify(execFile);
const tools = await bundlers();
const bun = await runtime('bun-current');
const project = await hostProject();

afterAll(() => project.remove());

it('of webpack: starts, guards, serves and ends processes', async () => {
  const { folder, file } = await project.bundle('webpack', tools);
  await expectWholeLife([process.execPath, file], folder);
});

it.each(['rollup', 'rolldown', 'ncc', 'tsup', 'rspack'])(
  'of %s: starts, serves and ends processes',
  async (tool) => {
    const { folder, file } = await project.bundle(tool, tools);
    await expectService([process.execPath, file], folder);
  },
);

describe.runIf(bun !== undefined)('of bun build --compile', () => {
  it('starts, guards, serves and ends processes', async () => {
    const { folder, file } = await project.bundle('bun', bun ?? '');
    await expectWholeLife([file], folder);
  });

  /** Starts a command where /bin/sh is not to be seen, nor anything beside it. */
  const THROUGH_NO_SHELL = [
    ...['unshare', '--mount', '--map-root-user', 'sh', '-c'],
    ...['mount -t tmpfs x /usr/bin && [ ! -e /bin/sh ] && exec "$@"', 'sh'],
  ];
  const [UNSHARE = '', ...ARGS] = THROUGH_NO_SHELL;
  const canHideShell = spawnSync(UNSHARE, [...ARGS, process.execPath, '--version']).status === 0;

  it.runIf(canHideShell)(
    'warns where there is no shell, and does not start the application again',
    async () => {
      const { folder, file } = await project.bundle('bun', bun ?? '');
      const { warnings, others } = await guardedStart([...THROUGH_NO_SHELL, file], folder);
      expect(warnings).toEqual([
        expect.stringMatching(/^GUARDIAN: The guardian could not be started/),
      ]);
      expect(others).toBe(0);
    },
  );

  it.runIf(canHideShell)(
    'where the runtime is none of its own, there is a guardian (control)',
    async () => {
      const { folder, file } = await project.bundle('rolldown', tools);
      const host = [...THROUGH_NO_SHELL, process.execPath, file];
      expect((await guardedStart(host, folder)).warnings).toEqual([]);
    },
  );
});

describe('of Next', async () => {
  const site = join(project.folder, 'next');
  const next = join(site, 'node_modules/next/dist/bin/next');
  await cp(join(project.folder, 'life.js'), join(site, 'life.js'));
  // Next wants all in one folder, without links; where these are on two disks, copied.
  const modules = (...how: string[]) => run('cp', [...how, join(tools, 'node_modules'), site]);
  await modules('-al').catch(() => modules('-a'));
  await cp(join(project.folder, 'node_modules'), join(site, 'node_modules'), { recursive: true });
  const env = { NEXT_TELEMETRY_DISABLED: '1', HOSTNAME: '127.0.0.1' };

  it('dev', async () => {
    const port = '41873';
    const command = [process.execPath, next, 'dev', '--hostname', '127.0.0.1', '--port', port];
    await expectServer(command, site, env, `http://127.0.0.1:${port}`);
  }, 240_000);

  it('build, standalone', async () => {
    await run(process.execPath, [next, 'build'], {
      cwd: site,
      env: { ...process.env, ...env },
      timeout: 200_000,
    });
    const port = '41874';
    const server = join(site, '.next/standalone/server.js');
    await expectServer(
      [process.execPath, server],
      site,
      { ...env, PORT: port },
      `http://127.0.0.1:${port}`,
    );
  }, 300_000);
});
