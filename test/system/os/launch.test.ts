import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { endByMarker, readRow } from '../../../kit/process-table.ts';
import { dropsEmptyArguments, launch, loadLauncher, throughShell } from '../../../src/os/launch.ts';
import type { LaunchRequest } from '../../../src/os/os.ts';
import { systemOs } from '../../../src/os/system.ts';

const FUZZ = { seed: 20261123, numRuns: 60 };
const MARKER = 'AGENT_SUPERVISOR_LAUNCH_TEST';
const POSIX = process.platform !== 'win32';

describe('dropsEmptyArguments', () => {
  it.each([
    [undefined, false],
    ['0.8.1', true],
    ['1.0.0', true],
    ['1.1.45', true],
    ['1.2.0', true],
    ['1.2.2', true],
    ['1.2.3', false],
    ['1.2.10', false],
    ['1.3.0', false],
    ['1.10.1', false],
    ['2.0.0', false],
    ['1.2.2-canary.1+abc', true],
    ['1.2.3-canary.1+abc', false],
  ])('Bun %s: %s', (version, drops) => {
    expect(dropsEmptyArguments(version)).toBe(drops);
  });
});

describe.runIf(POSIX)('throughShell', () => {
  /** The arguments that the program really receives. */
  function received(args: readonly string[], printer = '/usr/bin/printf'): string[] {
    const shell = throughShell(printer, ['%s\\0', ...args]);
    const output = execFileSync(shell.command, shell.args, { env: {}, encoding: 'utf8' });
    // Without arguments printf writes its format once.
    return args.length === 0 ? [] : output.split('\0').slice(0, -1);
  }

  it.each([
    [['']],
    [['', '']],
    [['a', '', 'b']],
    [["it's", '"quoted"', 'a b', '']],
    [['$HOME', '$(id)', '`id`', '$1', '$0', '$@', '\\', '\\n', '']],
    [['two\nlines', '\n', '\t', ' ', '']],
    [['*', '?', '[a]', '~', '!', '#', '&', ';', '|', '<', '>', '']],
    [['--', '-c', '-', '--flag=', '']],
    [['ünïcödé', '日本', '🙂', '']],
    [Array.from({ length: 25 }, (_, index) => (index % 3 ? `${index}` : ''))],
  ])('passes %j on unchanged', (args) => {
    expect(received(args)).toEqual(args);
  });

  it('passes any arguments on unchanged', () => {
    const arg = fc.oneof(fc.constant(''), fc.string(), fc.string({ unit: 'binary' }));
    const clean = arg.filter((value) => !value.includes('\0') && value.isWellFormed());
    fc.assert(
      fc.property(fc.array(clean, { minLength: 1, maxLength: 15 }), (args) => {
        expect(received(args)).toEqual(args);
      }),
      FUZZ,
    );
  });

  it('keeps empty arguments out of the argument list, which would lose them', () => {
    const { args } = throughShell('program', ['', 'a', '', '--flag', '']);
    expect(args).not.toContain('');
    expect(args).toEqual(['-c', `exec "$0" '' "\${1}" '' "\${2}" ''`, 'program', 'a', '--flag']);
  });

  it('runs the program in place of the shell, and returns its exit code', () => {
    const shell = throughShell('/bin/sh', ['-c', 'echo $PPID; exit 7', '']);
    const run = () => execFileSync(shell.command, shell.args, { encoding: 'utf8' });
    expect(run).toThrow(
      expect.objectContaining({ status: 7, stdout: expect.stringMatching(`^${process.pid}\\s*$`) }),
    );
  });

  it('runs a program with a name that a shell could misread', () => {
    const folder = mkdtempSync(join(tmpdir(), 'agent supervisor $shell '));
    try {
      const printer = join(folder, "a 'b' $c");
      copyFileSync('/usr/bin/printf', printer);
      expect(received(['x', ''], printer)).toEqual(['x', '']);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe.runIf(process.platform === 'linux')('launch', () => {
  const { platform } = systemOs();
  let marker = '';
  beforeAll(async () => {
    await loadLauncher();
    marker = mkdtempSync(join(tmpdir(), 'agent-supervisor-launch-'));
  });
  afterEach(() => endByMarker(MARKER, marker));
  afterAll(async () => {
    const leaked = await endByMarker(MARKER, marker);
    rmSync(marker, { recursive: true, force: true });
    expect(leaked).toEqual([]);
  });

  const start = (
    command: string,
    args: string[],
    more: Partial<LaunchRequest> = {},
  ): ChildProcess => {
    const request = { command, args, cwd: undefined, env: {}, ...more };
    const { child } = launch(request, platform);
    if (child === undefined) throw new Error('no child');
    return child;
  };
  const output = (child: ChildProcess) => text(child.stdout as NodeJS.ReadableStream);

  it.each([
    [{}],
    [{ ONLY: 'this' }],
    [{ EMPTY: '', 'odd name': 'a=b', MULTI: 'two\nlines', [MARKER]: 'x' }],
  ])('gives the child the environment %j and nothing else', async (env) => {
    // This process's own variables must not come back.
    expect(process.env['PATH']).toBeTruthy();
    const printed = await output(start('/usr/bin/env', ['-0'], { env }));
    // Node itself passes this on when coverage is measured.
    const lines = printed
      .split('\0')
      .slice(0, -1)
      .filter((line) => !line.startsWith('NODE_V8_COVERAGE='));
    expect(lines.sort()).toEqual(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}`)
        .sort(),
    );
  });

  it('passes the arguments on unchanged', async () => {
    const args = ['', 'a b', '"', "'", '$HOME', '\\', '*', 'two\nlines', '--flag=', '--', ''];
    const printed = await output(start('/usr/bin/printf', ['%s\\0', ...args]));
    expect(printed.split('\0').slice(0, -1)).toEqual(args);
  });

  it('changes no byte of the streams', async () => {
    const child = start('/bin/cat', []);
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256));
    child.stdin?.end(Buffer.concat([bytes, Buffer.from('\n\n')]));
    const chunks: Buffer[] = [];
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(Buffer.concat([bytes, Buffer.from('\n\n')]))).toBe(true);
  });

  it('makes the child leader of a group and session of its own', async () => {
    const child = start('/bin/sleep', ['300'], { env: { [MARKER]: marker } });
    const { pid = 0 } = child;
    expect(readRow(pid)).toMatchObject({ pid, pgid: pid, sid: pid, ppid: process.pid });
  });

  it("starts the child in its folder, or else in the host's", async () => {
    expect(await output(start('/bin/pwd', [], { cwd: '/usr' }))).toBe('/usr\n');
    expect(await output(start('/bin/pwd', []))).toBe(`${process.cwd()}\n`);
  });

  it('has no timeout, cleanup or kill of its own, and reports the exit', async () => {
    const listeners = process.eventNames().map((name) => [name, process.listenerCount(name)]);
    const child = start('/bin/sh', ['-c', 'exit 3']);
    expect(await once(child, 'exit')).toEqual([3, null]);
    expect(process.eventNames().map((name) => [name, process.listenerCount(name)])).toEqual(
      listeners,
    );
  });

  it('reports a death by a signal as such', async () => {
    const child = start('/bin/sh', ['-c', 'kill -SEGV $$']);
    expect(await once(child, 'exit')).toEqual([null, 'SIGSEGV']);
  });

  it.each([
    ['COMMAND_NOT_FOUND', '/no/such/program', /Install it, correct PATH/],
    ['COMMAND_NOT_FOUND', 'no-such-program-anywhere', /Install it, correct PATH/],
    ['SPAWN_FAILED', '/etc/passwd', /executable file/],
    ['SPAWN_FAILED', '/', /executable file/],
  ])('fails with %s for %s, with advice', async (code, command, message) => {
    const { failure } = launch({ command, args: [], cwd: undefined, env: {} }, platform);
    expect(await failure).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.each(['/no/such/folder', '/etc/passwd'])('fails with CWD_NOT_FOUND for %s', async (cwd) => {
    const { failure } = launch({ command: '/bin/true', args: [], cwd, env: {} }, platform);
    expect(await failure).toMatchObject({
      code: 'CWD_NOT_FOUND',
      message: expect.stringContaining(cwd),
    });
  });

  it('fails with SPAWN_FAILED for arguments that are too long, without quoting them', async () => {
    const secret = 's3cret'.repeat(50_000);
    const { failure } = launch(
      { command: '/bin/true', args: [secret], cwd: undefined, env: {} },
      platform,
    );
    const told = await failure;
    expect(told?.code).toBe('SPAWN_FAILED');
    expect(told?.message).toMatch(/E2BIG/);
    expect(told?.message).not.toContain('s3cret');
  });
});
