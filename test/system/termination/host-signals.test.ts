// Real hosts that receive real signals: what is left of them, and what their parent is told.
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { startHost } from '../../../kit/host.ts';
import { endByIdentity, eventually, findByMarker } from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';

const SOON = { timeout: 20_000 };
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const it = base.extend('host', ({ home, marker }) => {
  /** A host whose process is ready. */
  return async (options: object) => {
    const host = startHost('signals.ts', {
      args: [join(home, 'state'), JSON.stringify(options)],
      env: { PATH: process.env['PATH'] ?? '', [MARKER]: marker },
    });
    await host.line('ready');
    return { ...host, kill: (signal: NodeJS.Signals) => process.kill(host.pid, signal) };
  };
});

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

  it.for([
    ['SIGTERM', 'SIGTERM'],
    ['SIGINT', 'SIGINT'],
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
    const { kill, line, end } = await host({ handle: { finishMs: 60_000 } });
    kill('SIGTERM');
    await line('stopping SIGTERM');
    kill('SIGTERM');
    const { signal, lines } = await end;
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
      kill('SIGTERM');
      const { signal } = await end;
      expect(signal).toBe('SIGTERM');
      expect(findByMarker(MARKER, marker)).toEqual([]);
    });
  });
});
