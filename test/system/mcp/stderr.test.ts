// The stderr of a server: its target, and that no target blocks the server.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createReadStream, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import { note, record } from '../../../kit/mcp.ts';
import { eventually } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { SupervisedStdioParameters } from '../../../src/mcp/index.ts';

/** More than all buffers between a server and its reader hold. */
const NOISE_BYTES = 6 * 2 ** 18;
const NOISE = `yes noise | head -c ${NOISE_BYTES} >&2`;
const DONE = `echo '${JSON.stringify(note('done'))}'`;

const it = base.extend('serve', ({ supervise, marker }) => {
  const supervisor = supervise();
  return (script: string, stderr: SupervisedStdioParameters['stderr']) =>
    record({ command: 'sh', args: ['-c', script], supervisor, stderr, env: { [MARKER]: marker } });
});

describe.runIf(CAN_WATCH)('the stderr of a server', () => {
  it.for(['pipe', 'overlapped'] as const)(
    '%s: is there before it starts, whole, and ends',
    async (stderr, { serve }) => {
      const { transport, closed } = serve(`echo first >&2; ${NOISE}; echo last >&2`, stderr);
      const said = text(transport.stderr as Readable);
      await transport.start();
      await closed();
      const all = await said;
      expect(all).toMatch(/^first\n(noise\n)+/);
      expect(all).toMatch(/last\n$/);
      expect(all).toHaveLength(NOISE_BYTES + 'first\nlast\n'.length);
    },
  );

  it('pipe: does not block the server without a reader, and the tail is kept', async ({
    serve,
  }) => {
    const { transport, heard, closed } = serve(`${NOISE}; echo last >&2; ${DONE}`, 'pipe');
    await transport.start();
    await heard('done');
    await closed();
    expect((await transport.process?.exited)?.stderrTail).toMatch(/noise\nlast\n$/);
  });

  it('pipe: holds the lines from before the first read', async ({ serve }) => {
    const { transport, heard } = serve(`echo first >&2; ${DONE}; exec cat`, 'pipe');
    await transport.start();
    await heard('done');
    const [chunk] = await once(transport.stderr as Readable, 'data');
    expect(String(chunk)).toBe('first\n');
    await transport.close();
  });

  it('pipe: does not block the server when its reader stops', async ({ serve }) => {
    const { transport, heard, errors } = serve(`${NOISE}; ${DONE}; exec cat`, 'pipe');
    const stderr = transport.stderr as Readable;
    stderr.once('data', () => stderr.destroy());
    await transport.start();
    await heard('done');
    await transport.close();
    expect(errors).toEqual([]);
  });

  it('pipe: ends even without a start', async ({ serve }) => {
    const { transport } = serve('exit', 'pipe');
    const said = text(transport.stderr as Readable);
    await transport.close();
    expect(await said).toBe('');
  });

  it('a stream: is written with backpressure, and left open', async ({ serve }) => {
    let bytes = 0;
    const slow = new Writable({
      highWaterMark: 1024,
      write(chunk: Uint8Array, _encoding, written) {
        bytes += chunk.length;
        setImmediate(written);
      },
    });
    const { transport, closed } = serve(NOISE, slow);
    expect(transport.stderr).toBe(null);
    await transport.start();
    await closed();
    // A dead server's last lines still wait for their reader.
    await eventually(() => bytes === NOISE_BYTES);
    expect(slow.writable).toBe(true);
  });

  it('a stream: does not block the server when destroyed', async ({ serve }) => {
    const target = new PassThrough({ highWaterMark: 1024 });
    target.on('error', () => undefined).once('data', () => target.destroy());
    const { transport, heard } = serve(`${NOISE}; ${DONE}; exec cat`, target);
    await transport.start();
    await heard('done');
    await transport.close();
  });

  it('a file descriptor: is written, and left open', async ({ serve, home }) => {
    const path = join(home, 'log');
    const fd = openSync(path, 'w');
    const { transport, closed } = serve('echo to a file >&2', fd);
    await transport.start();
    await closed();
    await transport.close();
    // Closing a closed descriptor would throw.
    closeSync(fd);
    expect(readFileSync(path, 'utf8')).toBe('to a file\n');
  });

  it('a file descriptor: has all lines when close() resolves', async ({ serve, home }) => {
    const path = join(home, 'fifo');
    execFileSync('mkfifo', [path]);
    // With both ends in one process, neither blocks. Nothing reads yet, and the pipe cannot hold all.
    const fd = openSync(path, 'r+');
    const { transport, heard } = serve(`head -c 200000 /dev/zero >&2; ${DONE}; exec cat`, fd);
    await transport.start();
    await heard('done');
    const closing = transport.close();
    await transport.process?.exited;
    const reader = createReadStream(path, { highWaterMark: 1000 });
    let bytes = 0;
    reader.on('data', (chunk) => {
      bytes += chunk.length;
    });
    await closing;
    closeSync(fd);
    await once(reader, 'end');
    expect(bytes).toBe(200_000);
  });

  it('a file descriptor: an invalid one is reported, and does not block the server', async ({
    serve,
  }) => {
    const { transport, heard, errors } = serve(`${NOISE}; ${DONE}; exec cat`, 99_999);
    await transport.start();
    await heard('done');
    expect(errors).toMatchObject([{ code: 'EBADF' }]);
    await transport.close();
  });

  it('ignore: the tail is still kept', async ({ serve }) => {
    const { transport, closed } = serve('echo last words >&2', 'ignore');
    expect(transport.stderr).toBe(null);
    await transport.start();
    await closed();
    expect((await transport.process?.exited)?.stderrTail).toBe('last words\n');
  });
});
