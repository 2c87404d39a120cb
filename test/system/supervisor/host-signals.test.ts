// Real hosts that receive real signals: what is left of them, and what their parent is told.
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { CAN_UNSHARE, UNSHARE } from '../../../kit/containment.ts';
import { startHost } from '../../../kit/host.ts';
import { endByIdentity, eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { type Program, startProgram } from '../../../kit/start-program.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';

const SOON = { timeout: 20_000 };
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const it = base.extend('host', ({ home, marker }) => {
  /** A host whose process is ready. */
  return async (options: object, ipc = false) => {
    const host = startHost('signals.ts', {
      ipc,
      args: [join(home, 'state'), JSON.stringify(options)],
      env: { PATH: process.env['PATH'] ?? '', [MARKER]: marker },
    });
    await host.line('ready');
    return { ...host, kill: (signal: NodeJS.Signals) => process.kill(host.pid, signal) };
  };
});

/** Sends a signal until the host has ended: it counts as a new wish a second after the first. */
async function insist(host: Pick<Program, 'kill' | 'end'>, signal: NodeJS.Signals): Promise<void> {
  let hasEnded = false;
  void host.end.then(() => {
    hasEnded = true;
  });
  await eventually(() => hasEnded || void host.kill(signal), { everyMs: 100, timeoutMs: 10_000 });
}

/** What the host told between its start and its end. */
const story = (lines: readonly string[]) =>
  lines.slice(lines.findIndex((line) => line.startsWith('ready')) + 1);

describe.runIf(CAN_WATCH)('a host that handles signals', SOON, () => {
  it.for(SIGNALS)(
    'ends all on %s, and dies of it as its parent expects',
    async (signal, { host, marker }) => {
      const { kill, end } = await host({});
      kill(signal);
      const { code, signal: reason, lines } = await end;
      expect(story(lines)).toEqual([`stopping ${signal}`, 'exited shutdown politely', 'stopped']);
      expect({ code, reason }).toEqual({ code: null, reason: signal });
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );

  it.for(SIGNALS)(
    'negative control: without handling %s it leaves its process behind',
    async (signal, { host, marker }) => {
      const { kill, end } = await host({ handle: false });
      kill(signal);
      const { code, signal: reason, lines } = await end;
      const left = findByMarker(MARKER, marker);
      endByIdentity(left);
      expect({ code, reason, story: story(lines) }).toEqual({
        code: null,
        reason: signal,
        story: [],
      });
      expect(left.length).toBeGreaterThan(0);
      await eventually(() => findByMarker(MARKER, marker).length === 0);
    },
  );

  it.for(['SIGUSR2', 'SIGQUIT'] as const)(
    'ends all on %s where that is named, and dies of it',
    async (signal, { host, marker }) => {
      const { kill, end } = await host({ handle: { signals: [signal] } });
      kill(signal);
      const { signal: reason, lines } = await end;
      expect(story(lines)).toEqual([`stopping ${signal}`, 'exited shutdown politely', 'stopped']);
      expect(reason).toBe(signal);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );

  // What npm makes of one Ctrl-C where its shell hands signals on.
  it.for(SIGNALS)('takes %s three times at once for one wish', async (signal, { host, marker }) => {
    const { kill, line, end } = await host({});
    kill(signal);
    kill(signal);
    await line(`stopping ${signal}`);
    kill(signal);
    const { signal: reason, lines } = await end;
    expect(story(lines)).toEqual([`stopping ${signal}`, 'exited shutdown politely', 'stopped']);
    expect(reason).toBe(signal);
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it.for(['SIGTERM', 'SIGINT'] as const)(
    'forces the end when %s comes again a second later',
    async (signal, { host, marker }) => {
      const started = await host({ child: 'stubborn' });
      const beganMs = performance.now();
      await insist(started, signal);
      expect(performance.now() - beganMs).toBeGreaterThan(950);
      const { signal: reason, lines } = await started.end;
      expect(story(lines)).toEqual([`stopping ${signal}`, 'exited shutdown forced', 'stopped']);
      expect(reason).toBe(signal);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );

  it.for([
    ['SIGHUP', 'SIGTERM'],
    ['SIGTERM', 'SIGINT'],
  ] as const)(
    'forces the end when %s is followed by %s',
    async ([first, second], { host, marker }) => {
      const { kill, line, end } = await host({ child: 'stubborn' });
      kill(first);
      await line(`stopping ${first}`);
      const beganMs = performance.now();
      kill(second);
      const { signal, lines } = await end;
      expect(performance.now() - beganMs).toBeLessThan(3000);
      expect(story(lines)).toEqual([`stopping ${first}`, 'exited shutdown forced', 'stopped']);
      expect(signal).toBe(first);
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );

  it('lets what runs finish for finishMs, and not when it is asked twice', async ({
    host,
    marker,
  }) => {
    const started = await host({ handle: { finishMs: 60_000 } });
    await insist(started, 'SIGTERM');
    const { signal, lines } = await started.end;
    expect(story(lines)).toEqual(['stopping SIGTERM', 'exited shutdown forced', 'stopped']);
    expect(signal).toBe('SIGTERM');
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it('takes no longer than deadlineMs', async ({ host, marker }) => {
    const { kill, end } = await host({ child: 'stubborn', handle: { deadlineMs: 2500 } });
    const beganMs = performance.now();
    kill('SIGTERM');
    const { lines } = await end;
    expect(performance.now() - beganMs).toBeLessThan(5000);
    expect(story(lines)).toEqual(['stopping SIGTERM', 'exited shutdown forced', 'stopped']);
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it.for(
    SIGNALS.flatMap((signal) =>
      (['before', 'after'] as const).map((when) => [signal, when] as const),
    ),
  )(
    'goes on after %s if it listens itself since %s, and handles none any more',
    async ([signal, listens], { host, marker }) => {
      const { kill, end } = await host({ listens });
      kill(signal);
      const { code, signal: reason, lines } = await end;
      expect(story(lines).sort()).toEqual([
        'exited shutdown politely',
        'stopped',
        `stopping ${signal}`,
        'the host goes on',
        `the host heard ${signal}`,
      ]);
      expect({ code, reason }).toEqual({ code: 7, reason: null });
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );

  it('dies of it when the last of several supervisors has stopped', async ({ host, marker }) => {
    const { kill, end } = await host({ supervisors: 3 });
    kill('SIGTERM');
    const { signal, lines } = await end;
    expect(lines.slice(0, 2)).toEqual(['listeners before 000', 'listeners with 111']);
    expect(story(lines)).toEqual(['stopping SIGTERM', 'exited shutdown politely', 'stopped']);
    expect(signal).toBe('SIGTERM');
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it('listens to no signal unasked, once to each when asked, and to none after uninstalling', async ({
    host,
    marker,
  }) => {
    const { kill, end } = await host({ uninstall: true });
    kill('SIGTERM');
    const { signal, lines } = await end;
    const left = findByMarker(MARKER, marker);
    endByIdentity(left);
    expect(lines.slice(0, 3)).toEqual([
      'listeners before 000',
      'listeners with 111',
      'listeners after 000',
    ]);
    // Uninstalled, it is as if it had never been.
    expect({ signal, story: story(lines) }).toEqual({ signal: 'SIGTERM', story: [] });
    expect(left.length).toBeGreaterThan(0);
    await eventually(() => findByMarker(MARKER, marker).length === 0);
  });

  it('handles only the signals it was told', async ({ host, marker }) => {
    const { kill, end } = await host({ handle: { signals: ['SIGTERM'] } });
    kill('SIGTERM');
    const { lines } = await end;
    expect(lines.slice(0, 2)).toEqual(['listeners before 000', 'listeners with 100']);
    expect(story(lines)).toContain('exited shutdown politely');
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it('has one listener and the latest hook of a name after twelve reloads', async ({
    host,
    marker,
  }) => {
    const { kill, end } = await host({ reloads: 12 });
    kill('SIGTERM');
    const { signal, lines } = await end;
    expect(lines[1]).toBe('listeners with 111');
    expect(lines.filter((line) => line.startsWith('hook of'))).toEqual(['hook of reload 12']);
    expect(lines.filter((line) => line === 'another hook')).toHaveLength(12);
    expect(signal).toBe('SIGTERM');
    expect(findByMarker(MARKER, marker)).toEqual([]);
  });

  it('says in a worker thread that it cannot', async ({ host }) => {
    const { lines } = await (await host({ thread: true })).end;
    expect(lines).toContainEqual(
      expect.stringMatching(/^warning HOST_SIGNAL .*worker thread.*main thread/),
    );
    expect(lines).toContain('listeners with 000');
  });

  describe('whose parent has an IPC channel to it', () => {
    it('ends on the message that is named, and on no other', async ({ host, marker }) => {
      const { child, end } = await host({ handle: { message: 'shutdown' } }, true);
      child.send('something');
      child.send('shutdown');
      const { signal, lines } = await end;
      expect(story(lines)).toEqual([
        'stopping message "shutdown"',
        'exited shutdown politely',
        'stopped',
      ]);
      expect(signal).toBe('SIGTERM');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });

    it('ends when the channel does, if that is asked for', async ({ host, marker }) => {
      const { child, line } = await host({ handle: { disconnect: true } }, true);
      // Not its 'close', which Node does not emit for who has closed the channel himself.
      const exited = once(child, 'exit');
      child.disconnect();
      expect(await exited).toEqual([null, 'SIGTERM']);
      expect(await line('stopping')).toBe('stopping the IPC channel was closed');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });

    it('is not kept alive by listening to it', async ({ host }) => {
      const options = { idle: true, handle: { message: 'shutdown', disconnect: true } };
      expect(await (await host(options, true)).end).toMatchObject({ code: 0, signal: null });
    });
  });

  describe("with a hook of the host's own", () => {
    it.for(['throws', 'rejects'])(
      'that %s: told, and the end completes',
      async (hook, { host, marker }) => {
        const { kill, end } = await host({ hook });
        kill('SIGTERM');
        const { signal, lines } = await end;
        expect(story(lines).sort()).toEqual([
          'exited shutdown politely',
          'hook SIGTERM',
          'stopped',
          'stopping SIGTERM',
          "warning HOST_SIGNAL the host's hook for SIGTERM failed",
        ]);
        expect(signal).toBe('SIGTERM');
        expect(findByMarker(MARKER, marker)).toEqual([]);
      },
    );

    it('that takes its time: the signal is raised after it', async ({ host, marker }) => {
      const { kill, line, end } = await host({
        hook: 'asks for more time',
        handle: { hookTimeoutMs: 60_000 },
      });
      kill('SIGHUP');
      await line('stopped');
      kill('SIGUSR2');
      const { signal, lines } = await end;
      expect(story(lines).slice(-2)).toEqual(['stopped', 'hook over']);
      expect(signal).toBe('SIGHUP');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });

    it('that hangs: the end completes, and the signal is raised at its time-out', async ({
      host,
      marker,
    }) => {
      const { kill, end } = await host({ hook: 'hangs', handle: { hookTimeoutMs: 400 } });
      const beganMs = performance.now();
      kill('SIGTERM');
      const { signal, lines } = await end;
      expect(performance.now() - beganMs).toBeGreaterThan(350);
      expect(story(lines)).toContain('exited shutdown politely');
      expect(signal).toBe('SIGTERM');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });

    it('that hangs: a second signal waits for it no longer', async ({ host, marker }) => {
      const { kill, line, end } = await host({ hook: 'hangs', handle: { hookTimeoutMs: 60_000 } });
      kill('SIGTERM');
      await line('stopped');
      kill('SIGINT');
      const { signal } = await end;
      expect(signal).toBe('SIGTERM');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });
  });
});

describe.runIf(CAN_UNSHARE)('a host that is pid 1', SOON, () => {
  it.for([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)(
    'ends all on %s, and itself with code %i',
    async ([signal, code], { home, marker }) => {
      const script = join(import.meta.dirname, '../../fixtures/hosts/signals.ts');
      const command = [...UNSHARE, process.execPath, script, join(home, 'state')];
      const env = { PATH: process.env['PATH'], [MARKER]: marker };
      const { pid, line, end } = startProgram(command, { env });
      await line('ready');
      const init = findByMarker(MARKER, marker).find(({ ppid }) => ppid === pid);
      process.kill(init?.pid ?? expect.fail('no init'), signal);
      expect(await end).toMatchObject({ code, signal: null });
      expect(findByMarker(MARKER, marker)).toEqual([]);
    },
  );
});
