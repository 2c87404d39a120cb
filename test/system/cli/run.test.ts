import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import { it } from '../../../kit/command-line.ts';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { callInside } from '../../../kit/fake-terminal.ts';

const PRINT_ARGUMENTS = join(import.meta.dirname, '../../fixtures/print-arguments.mjs');
describe.runIf(CAN_CONTAIN)('run passes on how its command ended', () => {
  it('by its own code, by its signal, or by why it was not started', async ({ line, area }) => {
    writeFileSync(join(area.folder, 'data'), 'no program');
    const script = join(area.folder, 'a name with blanks');
    writeFileSync(script, '#!/bin/sh\ntest "$1" = --help && exit 7\n');
    chmodSync(script, 0o700);
    const call = (...command: readonly string[]) => line.call(['run', '--', ...command]);
    const ends = await Promise.all([
      call('sh', '-c', 'exit 3'),
      call('sh', '-c', 'kill -TERM $$'),
      call('sh', '-c', 'kill -SEGV $$'),
      call('./a name with blanks', '--help'),
      call('not-there-at-all'),
      call('./data'),
    ]);
    expect(ends.map(({ code }) => code)).toEqual([3, 143, 139, 7, 127, 126]);
    expect(ends.slice(0, 4).map(({ stderr }) => stderr)).toEqual(['', '', '', '']);
    const [notFound, notProgram] = ends.slice(4);
    expect(notFound?.stderr).toMatch(
      /^agent-supervisor: command "not-there-at-all" was not found\..*\n$/,
    );
    expect(notProgram?.stderr).toMatch(
      /^agent-supervisor: command "\.\/data" could not be started: .*\n$/,
    );
  });

  it("by 125, for a refusal that is not the command's", async ({ line }) => {
    const wallClock = ['--session', 'old', '--wall-clock', '1ms'];
    const call = () => line.call(['run', ...wallClock, '--', 'true']);
    await call();
    const { code, stderr } = await call();
    expect(stderr).toMatch(/^agent-supervisor: Session "old" is \d+ ms old/);
    expect(code).toBe(125);
  });

  it('by the limit that ended it, with 124', async ({ line }) => {
    const limits = {
      lifetime: ['--lifetime', '300ms'],
      startup: ['--startup', '300ms'],
      memory: ['--memory', '100kB'],
      'wall-clock': ['--session', 's', '--wall-clock', '300ms'],
    };
    const command = ['--', 'sh', '-c', 'trap "" TERM; sleep 300 & wait'];
    const calls = Object.entries(limits).map(async ([cause, limit]) => {
      const { code, stderr } = await line.call(['run', ...limit, '--grace', '200ms', ...command]);
      expect(stderr).toBe(`agent-supervisor: the command was ended: ${cause}\n`);
      expect(code).toBe(124);
    });
    await Promise.all(calls);
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

  it('and tells programs how it ended', async ({ line }) => {
    const { stdout, stderr, code } = await line.call([
      ...['run', '--json', '--session', 's', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'],
    ]);
    expect({ stdout, code }).toEqual({ stdout: 'out\n', code: 3 });
    const [said, last = ''] = stderr.split('\n');
    expect(said).toBe('err');
    const end = { kind: 'command', sessionId: 's', code: 3, signal: null, cause: 'failed' };
    expect(JSON.parse(last)).toMatchObject({ ...end, exitCode: 3, error: null });
  });

  it('a mebibyte on every stream, byte for byte', async ({ line }) => {
    const input = randomBytes(2 ** 20);
    const child = line.start(['run', '--', 'bash', '-c', 'tee >(cat >&2)'], { input });
    if (child.stdout === null || child.stderr === null) throw new Error('there are no pipes');
    const said = await Promise.all([buffer(child.stdout), buffer(child.stderr)]);
    expect(said.map((one) => one.equals(input))).toEqual([true, true]);
  });

  // RUN is `run` or nothing. Bash makes pipes, and Node sockets: so all of it ends in a pipe.
  it.for([
    'echo in | RUN bash -c "echo out > /dev/stdout; tee /dev/stderr; echo hi > /dev/stderr" 2>&1 | cat',
    'echo in | RUN cat /dev/stdin | cat',
    'RUN yes | head -1; echo $PIPESTATUS',
    'RUN cat <<< text',
    '(echo first; RUN echo second; echo third) | cat',
  ])('%s, as without it', async (script, { line }) => {
    const withRun = await line.bash(script.replace('RUN', 'agent-supervisor run --'));
    const without = await line.bash(script.replace('RUN ', ''));
    expect(withRun).toEqual(without);
    expect(without.stdout).not.toBe('');
  });

  it.for(['--idle', '--startup'])('its output, through a pipe with %s', async (limit, { line }) => {
    const kind = await line.bash(
      `agent-supervisor run ${limit} 1m -- readlink /proc/self/fd/1 | cat`,
    );
    expect(kind.stdout).toMatch(/^socket:/);
    expect((await line.bash(`agent-supervisor run ${limit} 1m -- yes | head -1`)).stdout).toBe(
      'y\n',
    );
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
