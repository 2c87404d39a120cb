// One transport and one small server that behaves in many ways.
import { afterEach, describe, expect, vi } from 'vitest';
import { note, record } from '../../../kit/mcp.ts';
import { endByMarker, eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import { catchUncaught } from '../../../kit/uncaught.ts';
import type { SupervisedStdioParameters } from '../../../src/mcp/index.ts';

/** Prints that it runs, and echoes its input. */
const ECHO = `echo '${JSON.stringify(note('ready'))}'; exec cat`;
/** Prints that it runs, and reads nothing, not even the end of its stdin. */
const DEAF = `trap '' TERM; echo '${JSON.stringify(note('ready'))}'; while :; do sleep 300; done`;

type More = Partial<Omit<SupervisedStdioParameters, 'service'>>;

const it = base
  .extend('supervisor', ({ supervise }) =>
    supervise({ ladder: { stdinEofMs: 200, termMs: 200, killMs: 1000 } }),
  )
  .extend('serve', ({ supervisor, marker }) => {
    /** Makes a transport for a server that is a shell script. */
    return (script: string, more: More = {}) =>
      record({
        command: 'sh',
        args: ['-c', script],
        stderr: 'ignore',
        supervisor,
        ...more,
        env: { [MARKER]: marker, ...more.env },
      });
  })
  .extend(
    'alive',
    ({ marker }) =>
      () =>
        findByMarker(MARKER, marker).map(({ command }) => command),
  );

afterEach(() => void vi.unstubAllEnvs());

describe.runIf(CAN_WATCH)('a server', () => {
  it('is a supervised process of its session, without a slot', async ({ supervise, serve }) => {
    const supervisor = supervise({ pool: { concurrency: 1 } });
    const lease = await supervisor.acquire();
    const { transport, heard, messages } = serve(ECHO, { supervisor, sessionId: 'mine' });
    expect(transport.pid).toBe(null);
    expect(transport.process).toBe(undefined);
    await transport.start();
    await heard('ready');
    expect(supervisor.list()).toMatchObject([
      { pid: transport.pid, kind: 'mcp-server', sessionId: 'mine', holdsSlot: false },
    ]);
    expect(transport.process?.pid).toBe(transport.pid);
    lease.release();
    await transport.close();
    expect(messages.map(({ method }) => method)).toEqual(['ready']);
    expect(transport.pid).toBe(null);
    expect(await transport.process?.exited).toMatchObject({
      cause: 'terminated',
      kind: 'mcp-server',
    });
  });

  it('receives messages, and sends messages', async ({ serve }) => {
    const { transport, heard, errors } = serve(ECHO);
    await transport.start();
    for (const method of ['one', 'two', 'three']) await transport.send(note(method));
    await heard('three');
    const big = note('big', { text: 'ü€😀'.repeat(50_000) });
    await transport.send(big);
    expect(await heard('big')).toEqual(big);
    await transport.close();
    expect(errors).toEqual([]);
  });

  it('takes many messages at once, in order', async ({ serve }) => {
    const { transport, heard, messages } = serve(ECHO);
    await transport.start();
    const names = Array.from({ length: 300 }, (_, i) => `n${i}`);
    const text = 'x'.repeat(10_000);
    await Promise.all(names.map((name) => transport.send(note(name, { text }))));
    await heard('n299');
    expect(messages.map(({ method }) => method).slice(1)).toEqual(names);
    await transport.close();
  });

  it('may split characters, and its last messages before the exit are read', async ({ serve }) => {
    const [head = '', tail = ''] = JSON.stringify(note('ä')).split('ä');
    const script = `printf '${head}\\303'; read -r _; printf '\\244${tail}\\n'; exit 3`;
    const { transport, heard, closed, closes } = serve(script);
    await transport.start();
    await transport.send(note('go on'));
    await closed();
    expect(await heard('ä')).toEqual(note('ä'));
    expect(closes()).toBe(1);
    expect(await transport.process?.exited).toMatchObject({ cause: 'failed', code: 3 });
  });

  it('is kept after a line that is no message', async ({ serve }) => {
    const { transport, heard, errors } = serve(`echo 'Listening'; ${ECHO}`);
    await transport.start();
    await heard('ready');
    expect(errors).toMatchObject([{ message: expect.stringContaining('Listening') }]);
    await transport.close();
  });

  it('is ended after a line that is too long', async ({ serve, alive }) => {
    const flood = `yes | tr -d '\\n' | head -c 100000; ${ECHO}`;
    const { transport, closed, errors } = serve(flood, { maxBufferSize: 50_000 });
    await transport.start();
    await closed();
    await transport.close();
    expect(errors).toMatchObject([{ message: expect.stringContaining('than 50000 bytes') }]);
    expect(alive()).toEqual([]);
  });

  it('gets no secret of the host', async ({ serve }) => {
    vi.stubEnv('PLANTED_SECRET', 'x');
    const names = '$(env | cut -d= -f1 | sort | tr "\\n" " ")';
    const script = `printf '{"jsonrpc":"2.0","method":"env","params":{"names":"%s"}}\\n' "${names}"; cat`;
    const { transport, heard } = serve(script, { env: { OWN: '1', HOME: undefined } });
    await transport.start();
    const { params } = await heard('env');
    const seen = (params as { names: string }).names.split(' ');
    expect(seen).toEqual(expect.arrayContaining(['OWN', 'PATH']));
    expect(seen).not.toContain('PLANTED_SECRET');
    expect(seen).not.toContain('HOME');
    await transport.close();
  });

  it('leaves the tail of its stderr in the report', async ({ serve }) => {
    const { transport, closed } = serve('echo "no such database" >&2; exit 1');
    await transport.start();
    await closed();
    const { stderrTail } = (await transport.process?.exited) ?? {};
    expect(stderrTail).toBe('no such database\n');
  });
});

describe.runIf(CAN_WATCH)('a start', () => {
  it.for([
    [{ command: '/no/such/server', args: [] }, 'COMMAND_NOT_FOUND'],
    [{ cwd: '/no/such/folder' }, 'CWD_NOT_FOUND'],
    [{ limits: { startupMs: 10, lifetimeMs: 5 } }, 'INVALID_OPTIONS'],
  ] as const)('that cannot be: %j', async ([more, code], { serve }) => {
    const { transport, errors, closes } = serve(ECHO, { ...more });
    await expect(transport.start()).rejects.toMatchObject({ code });
    expect(errors).toMatchObject([{ code }]);
    expect(closes()).toBe(1);
    expect(transport.pid).toBe(null);
    await transport.close();
    expect(closes()).toBe(1);
  });

  it('is refused by a stopped supervisor, and does not start it again', async ({
    serve,
    supervisor,
  }) => {
    await supervisor.start();
    await supervisor.stop();
    const { transport, closes } = serve(ECHO);
    await expect(transport.start()).rejects.toMatchObject({ code: 'STOPPING' });
    expect(closes()).toBe(1);
  });

  it('is refused the second time, and the first start goes on', async ({ serve }) => {
    const { transport, heard, errors, closes } = serve(ECHO);
    const first = transport.start();
    await expect(transport.start()).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    await first;
    await expect(transport.start()).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    await heard('ready');
    expect(errors).toEqual([]);
    expect(closes()).toBe(0);
    await transport.close();
  });
});

describe.runIf(CAN_WATCH)('the end of a server', () => {
  it('by close() ends the whole tree, and every caller waits for it', async ({ serve, alive }) => {
    const { transport, heard, closes } = serve(`setsid sleep 300 & ${DEAF}`);
    await transport.start();
    await heard('ready');
    await eventually(() => alive().filter((command) => command === 'sleep').length === 2);
    await Promise.all([
      transport.close().then(() => expect(alive()).toEqual([])),
      transport.close().then(() => expect(alive()).toEqual([])),
    ]);
    await transport.close();
    expect(closes()).toBe(1);
    expect(await transport.process?.exited).toMatchObject({ cause: 'terminated', forced: true });
  });

  it('by close() before the start refuses a later start', async ({ serve, supervisor }) => {
    const { transport, closes, errors } = serve(ECHO);
    await transport.close();
    expect(closes()).toBe(1);
    await expect(transport.start()).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(transport.send(note('late'))).rejects.toThrow('Not connected');
    expect(closes()).toBe(1);
    expect(errors).toEqual([]);
    expect(supervisor.list()).toEqual([]);
  });

  it.for([
    ['while it waits to be guarded', false],
    ['while it starts', true],
  ] as const)('by close() %s', async ([, isGuarded], { serve, supervisor, alive }) => {
    if (isGuarded) await supervisor.start();
    const { transport, closes, errors } = serve(ECHO);
    const started = transport.start();
    const refused = expect(started).rejects.toMatchObject({ code: 'ABORTED' });
    await transport.close();
    await refused;
    expect(alive()).toEqual([]);
    expect(closes()).toBe(1);
    expect(errors).toEqual([]);
  });

  it('by close() right after the start leaves no process', async ({ serve, alive }) => {
    const { transport, closes } = serve(ECHO);
    await transport.start();
    await transport.close();
    expect(alive()).toEqual([]);
    expect(closes()).toBe(1);
  });

  it('by its own exit calls onclose, and close() waits for its leftovers', async ({
    serve,
    alive,
  }) => {
    const script = `trap '' TERM; setsid sleep 300 & until grep -q sleep /proc/$!/comm; do :; done; exit 0`;
    const { transport, closed, closes } = serve(script);
    await transport.start();
    await closed();
    await transport.close();
    expect(alive()).toEqual([]);
    await expect(transport.send(note('late'))).rejects.toThrow('Not connected');
    await transport.close();
    expect(closes()).toBe(1);
  });

  it('by its own exit leaves kept processes alone', async ({ serve, alive, marker }) => {
    const script = 'setsid sleep 300 & until grep -q sleep /proc/$!/comm; do :; done; exit 0';
    const { transport, closed } = serve(script, { leftovers: 'keep' });
    await transport.start();
    await closed();
    await transport.close();
    expect(alive()).toEqual(['sleep']);
    await endByMarker(MARKER, marker);
  });

  it('by the stop of its supervisor, or by the reap of its session, closes the transport', async ({
    serve,
    supervisor,
  }) => {
    const all = [serve(ECHO), serve(ECHO, { sessionId: 'mine' })] as const;
    for (const { transport, heard } of all) {
      await transport.start();
      await heard('ready');
    }
    const [other, mine] = all;
    await supervisor.reapSession('mine');
    await mine.closed();
    expect(other.closes()).toBe(0);
    expect(await mine.transport.process?.exited).toMatchObject({ cause: 'reaped' });
    await supervisor.stop();
    await other.closed();
    expect(await other.transport.process?.exited).toMatchObject({ cause: 'shutdown' });
    for (const { transport, closes } of all) {
      await transport.close();
      expect(closes()).toBe(1);
    }
  });

  it('by a limit closes the transport', async ({ serve }) => {
    const { transport, closed } = serve(ECHO, { limits: { lifetimeMs: 100 } });
    await transport.start();
    await closed();
    expect(await transport.process?.exited).toMatchObject({ cause: 'lifetime' });
  });

  it('by the end of an await using scope leaves no process', async ({ serve, alive }) => {
    const { transport, heard } = serve(ECHO);
    await expect(
      (async () => {
        await using _server = transport;
        await transport.start();
        await heard('ready');
        throw new Error('mine');
      })(),
    ).rejects.toThrow('mine');
    expect(alive()).toEqual([]);
  });
});

describe.runIf(CAN_WATCH)('send()', () => {
  const FULL = note('big', { text: 'x'.repeat(2 ** 20) });

  it('rejects before the start', async ({ serve }) => {
    const { transport } = serve(ECHO);
    await expect(transport.send(note('early'))).rejects.toThrow('Not connected');
  });

  it('waits while the server does not read, and rejects when the server dies', async ({
    serve,
  }) => {
    const { transport, heard, closed } = serve(DEAF);
    await transport.start();
    await heard('ready');
    const sent = Array.from({ length: 20 }, () => transport.send(FULL));
    const outcome = Promise.allSettled(sent);
    transport.process?.kill('SIGKILL');
    const refused = (await outcome).filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(15);
    await closed();
    await expect(transport.send(FULL)).rejects.toThrow('Not connected');
  });

  it('waits while the server does not read, and rejects at close()', async ({ serve }) => {
    const { transport, heard } = serve(DEAF);
    await transport.start();
    await heard('ready');
    const outcome = Promise.allSettled(Array.from({ length: 20 }, () => transport.send(FULL)));
    await transport.close();
    const refused = (await outcome).filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(15);
  });

  it.for([
    ['that was guarded at its start', true],
    ['that waited for its guardian', false],
  ] as const)(
    'to a server %s and closes its stdin is refused',
    async ([, isGuarded], { serve, supervisor }) => {
      if (isGuarded) await supervisor.start();
      const script = `exec <&-; echo '${JSON.stringify(note('ready'))}'; sleep 300`;
      const { transport, heard, closes } = serve(script);
      await transport.start();
      await heard('ready');
      await expect(
        (async () => {
          for (;;) await transport.send(FULL);
        })(),
      ).rejects.toThrow('reads its stdin no more');
      expect(closes()).toBe(0);
      await transport.close();
    },
  );

  it('rejects a message that cannot be serialized, and no other', async ({ serve }) => {
    const { transport, heard } = serve(ECHO);
    await transport.start();
    await expect(transport.send(note('bad', { big: 1n }))).rejects.toThrow(TypeError);
    await transport.send(note('good'));
    await heard('good');
    await transport.close();
  });
});

describe.runIf(CAN_WATCH)('a handler', () => {
  it('of messages that throws is reported to onerror, and the next message comes', async ({
    serve,
  }) => {
    const { transport, heard, errors } = serve(ECHO);
    const { onmessage } = transport;
    transport.onmessage = (message) => {
      onmessage?.(message);
      if (message.method === 'ready') throw new Error('mine');
    };
    await transport.start();
    await transport.send(note('next'));
    await heard('next');
    expect(errors).toMatchObject([{ message: 'mine' }]);
    await transport.close();
  });

  it('of errors or of the end that throws causes an uncaught exception, and breaks nothing else', async ({
    serve,
    alive,
  }) => {
    const { transport, heard } = serve(`echo no; ${ECHO}`);
    const uncaught = catchUncaught();
    try {
      transport.onerror = () => {
        throw new Error('of errors');
      };
      transport.onclose = () => {
        throw new Error('of the end');
      };
      await transport.start();
      await heard('ready');
      await transport.close();
      expect(alive()).toEqual([]);
      expect(uncaught.exceptions).toMatchObject([
        { message: 'of errors' },
        { message: 'of the end' },
      ]);
      expect(uncaught.rejections).toEqual([]);
    } finally {
      uncaught.restore();
    }
  });

  it('is optional', async ({ serve, alive }) => {
    const { transport } = serve(`echo no; ${ECHO}`);
    Object.assign(transport, { onmessage: undefined, onerror: undefined, onclose: undefined });
    await transport.start();
    await transport.send(note('one'));
    await transport.close();
    expect(alive()).toEqual([]);
  });

  it('of messages may close the transport, and onclose is called', async ({ serve }) => {
    const { transport, closed, closes } = serve(ECHO);
    transport.onmessage = () => void transport.close();
    await transport.start();
    await closed();
    await transport.close();
    expect(closes()).toBe(1);
  });
});
