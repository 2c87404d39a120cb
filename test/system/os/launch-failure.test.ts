import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch, loadLauncher } from '../../../src/os/launch.ts';
import { systemOs } from '../../../src/os/system.ts';

describe('a launch that fails', () => {
  let folder = '';
  beforeAll(async () => {
    await loadLauncher();
    folder = await mkdtemp(join(tmpdir(), 'agent-supervisor-launch-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ['COMMAND_NOT_FOUND', 'no-such-program', undefined],
    ['CWD_NOT_FOUND', process.execPath, 'no-such-folder'],
  ])('reports %s, and shows no argument however it is printed', async (code, command, cwd) => {
    const { failure } = launch(
      {
        ...{ command, args: ['--api-key', 'hunter2secret'], env: {} },
        cwd: cwd === undefined ? undefined : join(folder, cwd),
      },
      systemOs().platform,
    );
    const told = await failure;
    expect(told?.code).toBe(code);
    expect(told?.cause).toBeInstanceOf(Error);
    expect(inspect(told, { depth: 9, showHidden: true })).not.toContain('hunter2');
  });

  it.skipIf(process.platform === 'win32').each([
    ['a whole command line', 'ls -la', [], /looks like a whole command line.*item of args/],
    ['a program with its script', 'no-node app.js', ['--x'], /looks like a whole command line/],
    ['a path with an option', './bin/app --port 1', [], /looks like a whole command line/],
    ['a path with a blank', './no such', [], /Install it/],
    ['an argument of 200 KB', 'echo', ['x'.repeat(200_000)], /E2BIG.*128 KB.*stdin \(input\)/],
  ])('names the way out for %s', async (_what, command, args, message) => {
    const env = { PATH: process.env['PATH'] ?? '' };
    const { failure } = launch({ command, args, env, cwd: folder }, systemOs().platform);
    expect((await failure)?.message).toMatch(message);
  });

  it.skipIf(process.platform === 'win32')('blames the folder of a host that has lost it', () => {
    const lost = join(folder, 'lost');
    mkdirSync(lost);
    const script = `
      import { rmdirSync } from 'node:fs';
      import { launch } from ${JSON.stringify(join(import.meta.dirname, '../../../src/os/launch.ts'))};
      rmdirSync(process.cwd());
      const request = { command: process.execPath, args: [], env: {} };
      console.log((await launch(request, process.platform).failure).code);`;
    const args = ['--input-type=module', '--eval', script];
    const code = execFileSync(process.execPath, args, { cwd: lost, encoding: 'utf8' });
    expect(code).toBe('CWD_NOT_FOUND\n');
  });
});
