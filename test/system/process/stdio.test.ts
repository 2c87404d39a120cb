// Where real children read and write: what nobody reads yet is kept, as child_process keeps it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { execa } from 'execa';
import { describe, expect } from 'vitest';
import { compileCache } from '../../../kit/host.ts';
import { eventually } from '../../../kit/process-table.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { SpawnRequest } from '../../../src/index.ts';
import { defineService } from '../../../src/service/index.ts';

const SOON = { timeout: 20_000 };
/** More than a stream and its pipe hold together. */
const MUCH = 2_000_000;
/** More than a stream holds, and less than both. */
const SOME = 150_000;

const zeros = (bytes: number) => ['/bin/sh', ['-c', `head -c ${bytes} /dev/zero`]] as const;
const lengthOf = async (stream: Readable): Promise<number> => (await text(stream)).length;
const isFull = (stream: Readable) => stream.readableLength >= stream.readableHighWaterMark;

const it = base.extend('supervisor', ({ supervise }) => supervise({ pool: { concurrency: 1 } }));

const WAYS = ['child_process', 'spawn', 'spawn, counted', 'spawn, queued', 'the hook'] as const;

describe.runIf(CAN_WATCH).for(WAYS)('stdout that nobody reads yet: %s', SOON, (way) => {
  const test = it.extend('start', ({ supervisor }) => {
    return async (command: string, args: readonly string[]) => {
      if (way === 'child_process')
        return spawn(command, args) as ChildProcess & { stdout: Readable };
      if (way === 'the hook') return supervisor.spawnHook()({ command, args });
      const lease = way === 'spawn, queued' ? await supervisor.acquire() : undefined;
      const limits = way === 'spawn, counted' ? { startupMs: 60_000 } : {};
      const child = supervisor.spawn({ command, args, limits });
      lease?.release();
      return child;
    };
  });

  test('keeps what was said before its first reader', async ({ start }) => {
    const child = await start('/bin/sh', ['-c', 'echo early; read line; echo $line']);
    await eventually(() => child.stdout.readableLength > 0);
    child.stdin?.end('late\n');
    expect(await text(child.stdout)).toBe('early\nlate\n');
  });

  test('holds the process up when the pipe is full, until it is read', async ({ start }) => {
    const child = await start(...zeros(MUCH));
    await eventually(() => isFull(child.stdout));
    expect(child.exitCode).toBe(null);
    const exited = once(child as ChildProcess, 'exit');
    expect(await lengthOf(child.stdout)).toBe(MUCH);
    await exited;
    expect(child.exitCode).toBe(0);
  });
});

describe.runIf(CAN_WATCH)('without us', SOON, () => {
  it('execa throws away what nobody reads yet', async () => {
    const options = { buffer: false, reject: false } as const;
    const child = execa('/bin/sh', ['-c', 'echo early; read line; echo $line'], options);
    await eventually(() => (child.stdout as Socket).bytesRead > 0);
    child.stdin.end('late\n');
    const said = await text(child.stdout);
    await child;
    expect(said).toBe('late\n');
  });
});

describe.runIf(CAN_WATCH)('stdout of a dead process', SOON, () => {
  const STARTS = ['at once', 'after queueing'] as const;

  it.for(STARTS)(
    'is there for who asks later, of one that started %s',
    async (when, { supervisor }) => {
      const lease = when === 'at once' ? undefined : await supervisor.acquire();
      const [command, args] = zeros(SOME);
      const child = supervisor.spawn({ command, args });
      lease?.release();
      expect(await child.exited).toMatchObject({ cause: 'completed' });
      expect(await lengthOf(child.stdout)).toBe(SOME);
    },
  );

  it('is there for who has it already, and reads it later', async ({ supervisor }) => {
    const [command, args] = zeros(SOME);
    const child = supervisor.spawn({ command, args });
    const { stdout } = child;
    expect(await child.exited).toMatchObject({ cause: 'completed' });
    expect(await lengthOf(stdout)).toBe(SOME);
  });

  it('holds up no end, however much of it is unread', async ({ supervisor }) => {
    const [command, args] = zeros(MUCH);
    for (const isTaken of [false, true]) {
      const child = supervisor.spawn({ command, args });
      if (isTaken) await eventually(() => isFull(child.stdout));
      else await child.started;
      const { ended } = await child.terminate({ force: true });
      expect(ended).toMatchObject([{ signal: 'SIGKILL' }]);
      const left = await lengthOf(child.stdout);
      expect(left).toBeLessThan(MUCH);
      if (isTaken) expect(left).toBeGreaterThanOrEqual(child.stdout.readableHighWaterMark);
    }
  });

  it('holds no descriptor if nobody asks for it', async ({ supervisor }) => {
    const open = () => readdirSync('/proc/self/fd').length;
    const one = () => supervisor.spawn({ command: '/bin/echo', args: ['unread'] }).exited;
    await one();
    await eventually(async () => (await one()) && true);
    const before = open();
    for (let n = 0; n < 20; n++) await one();
    await eventually(() => open() <= before + 2);
  });
});

describe.runIf(CAN_WATCH)('stderr', SOON, () => {
  it('is read always, and a late reader gets what comes from then on', async ({ supervisor }) => {
    const script = `head -c ${MUCH} /dev/zero | tr '\\0' x >&2; echo >&2; echo; read line; echo $line >&2`;
    const child = supervisor.spawn({ command: '/bin/sh', args: ['-c', script] });
    await once(child.stdout, 'data');
    const late = text(child.stderr);
    child.stdin.end('the end\n');
    expect((await late).trimStart()).toBe('the end\n');
    expect((await child.exited).stderrTail).toMatch(/the end\n$/);
  });
});

describe.runIf(CAN_WATCH)('what the library reads for itself it drains', SOON, () => {
  const [command, args] = zeros(MUCH);

  it('a run', async ({ supervisor }) => {
    const run = supervisor.run({}, () => supervisor.spawn({ command, args, kind: 'tool' }));
    expect(await run.done).toMatchObject({ outcome: 'completed' });
  });

  it('a run whose attempt reads itself', async ({ supervisor }) => {
    let read = Promise.resolve(0);
    const run = supervisor.run({}, async () => {
      const child = supervisor.spawn({ command, args, kind: 'tool' });
      await child.started;
      await eventually(() => isFull(child.stdout));
      read = lengthOf(child.stdout);
      return child;
    });
    expect(await run.done).toMatchObject({ outcome: 'completed' });
    expect(await read).toBe(MUCH);
  });

  it('a service', async ({ supervisor }) => {
    const script = `echo ready; head -c ${MUCH} /dev/zero; echo >&2`;
    const ready = { stdout: /^ready/ };
    await using service = defineService(supervisor, {
      ...{ name: 'talker', command, args: ['-c', script], ready, restart: false },
    });
    const child = await service.ensure();
    expect(await child.exited).toMatchObject({ cause: 'completed' });
  });
});

describe.runIf(CAN_WATCH)('streams that are no pipes', SOON, () => {
  const READS_ALL = { command: '/bin/sh', args: ['-c', 'cat; echo done; echo oops >&2'] };

  it('stdin: none for a program that reads it to the end, whoever starts it', async ({
    supervisor,
  }) => {
    const request: SpawnRequest = { ...READS_ALL, stdin: 'ignore' };
    const child = supervisor.spawn(request);
    expect(await text(child.stdout)).toBe('done\n');
    expect(await child.exited).toMatchObject({ cause: 'completed', stderrTail: 'oops\n' });
    const lease = await supervisor.acquire();
    expect(await lease.spawn(request).exited).toMatchObject({ cause: 'completed' });
    lease.release();
    const run = supervisor.run({}, () => supervisor.spawn(request));
    expect(await run.done).toMatchObject({ outcome: 'completed' });
    const ready = { stdout: /done/ };
    const definition = { ...READS_ALL, stdin: 'ignore', name: 'reader', ready } as const;
    await using service = defineService(supervisor, { ...definition, restart: false });
    await service.ensure();
  });

  it('input: all of it, and its end', async ({ supervisor }) => {
    const input = 'a line\n'.repeat(200_000);
    for (const given of [input, new TextEncoder().encode(input)]) {
      const child = supervisor.spawn({ ...READS_ALL, input: given });
      expect(await text(child.stdout)).toBe(`${input}done\n`);
      expect(await child.exited).toMatchObject({ cause: 'completed' });
    }
  });

  it('stdout: nowhere, and nothing holds the process up', async ({ supervisor }) => {
    const [command, args] = zeros(MUCH);
    const child = supervisor.spawn({ command, args, stdout: 'ignore' });
    expect(await child.exited).toMatchObject({ cause: 'completed' });
    expect(await text(child.stdout)).toBe('');
  });

  it('files: emptied, or added to, and both outputs in one', async ({ home, supervisor }) => {
    const [out, both] = [join(home, 'out'), join(home, 'both')];
    for (const file of [out, both]) writeFileSync(file, 'before\n');
    const run = (streams: Partial<SpawnRequest>) =>
      supervisor.spawn({ ...READS_ALL, stdin: 'ignore', ...streams }).exited;
    expect(await run({ stdout: { file: out } })).toMatchObject({ stderrTail: 'oops\n' });
    expect(readFileSync(out, 'utf8')).toBe('done\n');
    await run({ stdout: { file: out, append: true } });
    expect(readFileSync(out, 'utf8')).toBe('done\ndone\n');
    expect(await run({ stdout: { file: both }, stderr: { file: both } })).toMatchObject({
      ...{ cause: 'completed', stderrTail: '' },
    });
    expect(readFileSync(both, 'utf8')).toBe('done\noops\n');
  });

  it('a file that cannot be opened prevents the start, and says so', async ({
    home,
    supervisor,
  }) => {
    const pipe = join(home, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const [file, why] of [
      [join(home, 'none', 'out'), 'ENOENT'],
      [home, 'EISDIR'],
      // It would hold the host until somebody reads it.
      [pipe, 'nobody reads'],
    ] as const) {
      const { cause, error } = await supervisor.spawn({ ...READS_ALL, stderr: { file } }).exited;
      expect(cause).toBe('not-started');
      expect(error?.code).toBe('SPAWN_FAILED');
      expect(error?.message).toContain(`stderr.file "${file}" could not be opened: `);
      expect(error?.message).toContain(why);
    }
  });

  it('a named pipe that somebody reads is as good as a file', async ({ home, supervisor }) => {
    const pipe = join(home, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = spawn('cat', [pipe]);
    const read = text(reader.stdout);
    const attempt = async () => {
      const request = { ...READS_ALL, stdin: 'ignore', stdout: { file: pipe } } as const;
      return (await supervisor.spawn(request).exited).cause === 'completed';
    };
    await eventually(attempt);
    expect(await read).toBe('done\n');
  });

  // Node's pipes are socket pairs, which nobody can open by a name.
  it('inherited: /dev/stdin and /dev/stderr can be opened', async ({ home }) => {
    const files = ['in', 'out', 'err'].map((name) => join(home, name));
    for (const file of files) writeFileSync(file, 'in\n');
    const stdio = files.map((file, at) => openSync(file, at === 0 ? 'r' : 'w'));
    const script = 'echo hi > /dev/stderr; cat /dev/stdin';
    const host = join(import.meta.dirname, '../../fixtures/hosts/inherit.ts');
    const child = spawn(process.execPath, [host, join(home, 'state'), 'sh', '-c', script], {
      ...{ stdio, env: { ...compileCache(), PATH: process.env['PATH'] } },
    });
    const [code] = await once(child, 'exit');
    for (const fd of stdio) closeSync(fd);
    expect(code).toBe(0);
    const [, out, err] = files.map((file) => readFileSync(file, 'utf8'));
    expect([out, err]).toEqual(['in\n', 'hi\n']);
  });
});
