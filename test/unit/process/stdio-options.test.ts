// What may be asked for of a process's streams, and how they look where they are no pipes.
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { SpawnRequest, SupervisedProcess } from '../../../src/index.ts';

let fake: FakeSupervision;
beforeEach(() => {
  fake = new FakeSupervision({ guardian: false, pool: { concurrency: 1 } });
});
afterEach(() => fake[Symbol.dispose]());

const NOWHERE = { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' } as const;

describe('what contradicts itself is refused', () => {
  it.for<[request: object, field: string, wish: string]>([
    [{ stdin: 'none' }, 'stdin', 'must be "pipe" or "ignore" or "inherit"'],
    [{ stdin: { file: 'a' } }, 'stdin', 'must be "pipe"'],
    [{ stdout: 'file' }, 'stdout', "must be 'pipe', 'ignore', 'inherit', or { file, append? }"],
    [{ stdout: 1 }, 'stdout', "must be 'pipe'"],
    [{ stderr: { append: true } }, 'stderr', 'with the path of a file'],
    [{ stderr: { file: '' } }, 'stderr.file', 'must not be empty'],
    [{ stderr: { file: 'a\0b' } }, 'stderr.file', 'must not contain a NUL character'],
    [{ input: 5 }, 'input', 'must be a string or a Uint8Array'],
    [{ input: 'secret', stdin: 'ignore' }, 'input', 'must come with a stdin that is a pipe'],
    [{ input: 'secret', stdin: 'inherit' }, 'input', 'must come with a stdin that is a pipe'],
    [{ input: 'secret', outlivesHost: true }, 'input', 'without outlivesHost'],
    [{ stdin: 'pipe', outlivesHost: true }, 'stdin', 'would break when the host ends'],
    [{ stdout: 'pipe', outlivesHost: true }, 'stdout', 'would break when the host ends'],
    [{ stderr: 'pipe', outlivesHost: true }, 'stderr', 'would break when the host ends'],
    [{ stdout: 'ignore', limits: { startupMs: 5 } }, 'limits.startupMs', 'that are pipes'],
  ])('%o', ([request, field, wish]) => {
    const spawn = () => fake.spawn('a', request as Partial<SpawnRequest>);
    expect(spawn).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(spawn).toThrow(`spawn: "${field}" is `);
    expect(spawn).toThrow(wish);
    expect(spawn).not.toThrow('secret');
    expect(fake.os.launches).toEqual([]);
  });

  it.for([{ stdin: 'ignore' }, { input: 'x' }, { stdout: 'pipe' }, { stderr: { file: 'x' } }])(
    '%o through the hook, whose streams are the SDK’s',
    (defaults) => {
      expect(() => fake.supervisor.spawnHook(defaults as object)).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTIONS',
          message: expect.stringContaining("must be the SDK's own pipe"),
        }),
      );
    },
  );
});

it('an option that a file does not have is unknown', () => {
  const stdout = { file: 'a', flags: 'a' };
  expect(() => fake.spawn('a', { stdout })).toThrow(
    'spawn: unknown option "stdout.flags". Known here: file, append.',
  );
});

describe('what outlives its host may write to a file', () => {
  it('and has no pipe', async () => {
    const stdout = { file: '/tmp/log', append: true };
    const process = fake.spawn('a', { outlivesHost: true, slot: false, stdout });
    expect(fake.os.launches[0]).toMatchObject({ outlivesHost: true, stdout });
    expect(await text(process.stdout)).toBe('');
  });
});

describe('a stream that is no pipe', () => {
  const ended = async (process: SupervisedProcess) => {
    expect(process.stdin.writableEnded).toBe(true);
    // Told to nobody as an error that he would have to handle.
    process.stdin.write('for nobody');
    process.stdin.end('for nobody');
    expect(await text(process.stdout)).toBe('');
    process.stderr.resume();
    if (!process.stderr.readableEnded) await once(process.stderr, 'end');
  };

  it('is an ended one while the process runs', () => ended(fake.spawn('a', NOWHERE)));

  it('is an ended one while it waits, and when it starts', async () => {
    const holder = fake.spawn('holder');
    const waiting = fake.spawn('waiting', NOWHERE);
    await ended(waiting);
    fake.os.die(holder.pid ?? 0);
    await fake.until(waiting.started);
    expect(waiting.stdin.writableEnded).toBe(true);
    fake.os.die(waiting.pid ?? 0);
    expect(await fake.until(waiting.exited)).toMatchObject({ cause: 'completed' });
  });

  it('is one of three, and the others are pipes', async () => {
    const process = fake.spawn('a', { stdin: 'ignore' });
    expect(process.stdin.writableEnded).toBe(true);
    expect(process.stdout.readableEnded).toBe(false);
  });
});

describe('input', () => {
  it.for([['a text'], [new TextEncoder().encode('a text')]])(
    'is all that the process reads: %o',
    async ([input]) => {
      fake.os.reactions = { EOF: 'die' };
      const read: string[] = [];
      const launch = fake.os.launch.bind(fake.os);
      fake.os.launch = (request) => {
        const launched = launch(request);
        launched.child?.stdin?.on('data', (chunk) => read.push(String(chunk)));
        return launched;
      };
      const first = fake.spawn('a', { input });
      // The caller's own may change while it waits.
      const second = fake.spawn('b', { input });
      if (typeof input === 'object') input.fill(0);
      expect(first.stdin.writableEnded).toBe(true);
      expect(second.stdin.writableEnded).toBe(true);
      await fake.until(first.exited);
      await fake.until(second.exited);
      expect(read).toEqual(['a text', 'a text']);
    },
  );
});
