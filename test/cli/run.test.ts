import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import { it, sleepers, TREE } from '../support/command-line.ts';
import { CAN_CONTAIN } from '../support/containment.ts';
import { callInside } from '../support/fake-terminal.ts';
import { eventually, isAlive } from '../support/process-table.ts';

const PRINT_ARGUMENTS = join(import.meta.dirname, '../fixtures/print-arguments.mjs');
describe.runIf(CAN_CONTAIN)('run passes on how its command ended', () => {
  it.for([
    [['sh', '-c', 'exit 3'], 3],
    [['sh', '-c', 'kill -TERM $$'], 143],
    [['sh', '-c', 'kill -SEGV $$'], 139],
    [
      ['not-there-at-all'],
      127,
      /^agent-supervisor: command "not-there-at-all" was not found\..*\n$/,
    ],
    [['./data'], 126, /^agent-supervisor: command "\.\/data" could not be started: .*\n$/],
    [['./a name with blanks', '--help'], 7],
  ] as const)('%j: %i', async ([command, code, message], { line, area }) => {
    writeFileSync(join(area.folder, 'data'), 'no program');
    const script = join(area.folder, 'a name with blanks');
    writeFileSync(script, '#!/bin/sh\ntest "$1" = --help && exit 7\n');
    chmodSync(script, 0o700);
    const end = await line.call(['run', '--', ...command]);
    expect(end).toMatchObject({ code, stdout: '' });
    if (message) expect(end.stderr).toMatch(message);
    else expect(end.stderr).toBe('');
  });

  it.for([
    [['--lifetime', '300ms'], 'lifetime'],
    [['--startup', '300ms'], 'startup'],
    [['--memory', '100kB'], 'memory'],
    [['--session', 's', '--wall-clock', '300ms'], 'wall-clock'],
  ] as const)('%j: 124, and says so', async ([limit, cause], { line }) => {
    const { code, stderr } = await line.call([
      ...['run', ...limit, '--grace', '200ms', '--', 'sh', '-c', 'trap "" TERM; sleep 300 & wait'],
    ]);
    expect(stderr).toBe(`agent-supervisor: the command was ended: ${cause}\n`);
    expect(code).toBe(124);
  });

  it.for([
    [[], 'run takes a command after "--"'],
    [['true'], 'run takes a command after "--"'],
    [['--frob', '--', 'true'], "Unknown option '--frob'"],
    [['--lifetime', '0s', '--', 'true'], '--lifetime is "0s"'],
    [['--wall-clock', '1h', '--', 'true'], '--wall-clock must come with a --session'],
    [['--wait', '1h', '--', 'true'], '--wait must come with a --concurrency'],
    [['--concurrency', '0', '--', 'true'], '--concurrency is "0"'],
  ] as const)('what it cannot run is 125: %j', async ([args, message]) => {
    const { code, stdout, stderr } = await callInside(['run', ...args]);
    expect(stderr).toMatch(/^agent-supervisor: [^\n]*\n$/);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
  });
});

describe.runIf(CAN_CONTAIN)('a state directory that cannot be made', () => {
  it.for([[], ['--concurrency', '1']])('is told in one line: %j', async (more, { line }) => {
    const args = ['run', '--state-dir', '/proc/nowhere', ...more, '--', 'true'];
    const { code, stderr } = await line.call(args);
    expect(stderr).toMatch(/^agent-supervisor: [^\n]*\/proc\/nowhere[^\n]*\n$/);
    expect(code).toBe(125);
  });
});

describe.runIf(CAN_CONTAIN)('run passes on what its command is told and says', () => {
  it('arguments one to one', async ({ line }) => {
    const args = ['--help', '', '--', '-y', 'a b', '$HOME', '"', "'", '\n', '漢', '--json'];
    const { stdout, code } = await line.call([
      ...['run', '--', process.execPath, PRINT_ARGUMENTS, ...args],
    ]);
    expect(JSON.parse(stdout)).toEqual(args);
    expect(code).toBe(0);
  });

  it('a mebibyte on every stream, byte for byte', async ({ line }) => {
    const input = randomBytes(2 ** 20);
    const child = line.start(['run', '--', 'bash', '-c', 'tee >(cat >&2)'], { input });
    if (child.stdout === null || child.stderr === null) throw new Error('there are no pipes');
    const said = await Promise.all([buffer(child.stdout), buffer(child.stderr)]);
    expect(said.map((one) => one.equals(input))).toEqual([true, true]);
  });

  it('stdin that is closed, empty or long', async ({ line }) => {
    const command = 'agent-supervisor run -- sh -c "wc -c; exit 5"';
    const closed = await line.bash(`${command} <&-`);
    const empty = await line.bash(`${command} </dev/null`);
    expect([closed, empty]).toMatchObject([
      { code: 5, stdout: '0\n' },
      { code: 5, stdout: '0\n' },
    ]);
    // Nobody reads what goes on for ever.
    expect(await line.bash('yes | agent-supervisor run -- true')).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  it('a reader that goes', async ({ line }) => {
    // It ends as whoever writes to nobody does.
    const { stdout } = await line.bash('agent-supervisor run -- yes 2>/dev/null | head -1');
    expect(stdout).toBe('y\n');
    expect(await line.bash('agent-supervisor run -- sh -c "echo lost; exit 4" >&-')).toMatchObject({
      code: 4,
    });
  });
});

describe.runIf(CAN_CONTAIN)('what ends run', () => {
  it.for(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    '%s ends the whole tree, and run dies of it',
    async (signal, { line }) => {
      const child = line.start(['run', '--grace', '200ms', '--', 'sh', '-c', TREE]);
      const rows = await sleepers(line);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([null, signal]);
      expect(rows.filter(isAlive)).toEqual([]);
    },
  );

  it('a second one forces', async ({ line }) => {
    const child = line.start(['run', '--grace', '100s', '--', 'sh', '-c', TREE]);
    const rows = await sleepers(line);
    child.kill('SIGINT');
    // The first one has been heard when the sleeper in a session of its own, which is polite, is dead.
    await eventually(() => rows.filter(isAlive).length === 1 || rows.filter(isAlive).length === 2);
    const again = setInterval(() => child.kill('SIGINT'), 200);
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    clearInterval(again);
    expect(rows.filter(isAlive)).toEqual([]);
  });

  it('SIGKILL leaves nothing of its command', async ({ line, area }) => {
    const child = line.start(['run', '--grace', '200ms', '--', 'sh', '-c', TREE]);
    await sleepers(line);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await area.survivors(5000)).toEqual([]);
  });

  it.for(['reap', 'stop'] as const)('%s from another shell', async (command, { line }) => {
    const child = line.start(['run', '--session', 'night', '--', 'sh', '-c', TREE]);
    await sleepers(line);
    const { id } = JSON.parse((await line.call(['ps', '--json'])).stdout).processes[0];
    const name = command === 'reap' ? 'night' : id;
    const exit = once(child, 'exit');
    expect(await line.call([command, name, '--grace', '200ms'])).toMatchObject({ code: 0 });
    expect(await exit).toEqual([137, null]);
  });

  it('leftovers are ended, or kept on request', async ({ line, area }) => {
    const leaver = ['sh', '-c', 'setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!'];
    const ended = await line.call(['run', '--', ...leaver]);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(area.tree()).toEqual([]);
    const kept = await line.call(['run', '--keep-leftovers', '--', ...leaver]);
    expect(kept).toMatchObject({ code: 0, stderr: '' });
    expect(area.tree()).toMatchObject([{ pid: Number(kept.stdout) }]);
    await area.endAll();
  });
});

describe.runIf(CAN_CONTAIN)('run in a folder', () => {
  it('starts its command there, and finds the state directory by a relative path', async ({
    line,
    area,
  }) => {
    const folder = join(area.folder, 'a folder');
    mkdirSync(folder);
    const { stdout, code } = await line.call(['run', '--state-dir', 'state', '--', 'pwd'], {
      cwd: folder,
    });
    expect({ stdout, code }).toEqual({ stdout: `${folder}\n`, code: 0 });
    expect(existsSync(join(folder, 'state'))).toBe(true);
  });
});
