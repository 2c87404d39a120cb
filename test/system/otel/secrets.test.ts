// Secrets are planted wherever a process can hold one, and searched in all telemetry.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';
import { Telemetry } from '../../../kit/telemetry.ts';
import { EVENTS } from '../../../src/events.ts';
import type { SpawnRequest } from '../../../src/index.ts';
import { instrument } from '../../../src/otel/index.ts';

const [KEY, PLAIN, ARGUMENT, SAID, FOLDER] = [
  ...['Kx7Qm2Vt9Lp4Zs1Wd6', 'Pj3Hn8Ry5Cb0Gf2Tk7', 'Ua9Xe4Io1Mw6Sq3Dv8', 'Bh5Yl0Nc7Rt2Jz9Ex4'],
  'Fg1Ow8Ki3Vm6Pa5Uq0',
] as const;

/** Shows everything of a value: hidden properties, causes and stacks too. */
function allOf(value: unknown): string {
  const options = { depth: Number.POSITIVE_INFINITY, showHidden: true };
  return inspect(value, { ...options, maxStringLength: null, maxArrayLength: null });
}

/** Records the diagnostics of all supervisors, until it is disposed. */
class Ear {
  readonly #heard: { readonly name: string; readonly detail: unknown }[] = [];
  readonly #listener = (message: unknown, name: string | symbol): void => {
    const { detail } = message as { detail: unknown };
    this.#heard.push({ name: String(name).replace('agent-supervisor:', ''), detail });
  };

  constructor() {
    for (const event of EVENTS) subscribe(`agent-supervisor:${event}`, this.#listener);
  }

  get names(): Set<string> {
    return new Set(this.#heard.map(({ name }) => name));
  }

  /** Names of the recorded events that contain the secret. */
  telling(secret: string): string[] {
    return this.#heard
      .filter(({ detail }) => allOf(detail).includes(secret))
      .map(({ name }) => name);
  }

  [Symbol.dispose](): void {
    for (const event of EVENTS) unsubscribe(`agent-supervisor:${event}`, this.#listener);
  }
}

describe.runIf(CAN_WATCH)('a real process', () => {
  it('puts no planted secret into metrics or spans', async ({ home, marker, supervise }) => {
    using ear = new Ear();
    const telemetry = new Telemetry();
    const supervisor = supervise({ pool: { concurrency: 1, hardCap: 2 } });
    const stop = instrument(supervisor, telemetry.providers);
    const cwd = join(home, FOLDER);
    await mkdir(cwd);
    const shell = (script: string, more: Partial<SpawnRequest> = {}): SpawnRequest => ({
      command: 'sh',
      args: [
        '-c',
        `echo "key is $API_KEY; API_TOKEN=${KEY}" >&2; ${script}`,
        ARGUMENT,
        `--p=${KEY}`,
      ],
      env: { PATH: process.env['PATH'], [MARKER]: marker, API_KEY: KEY, INNOCENT: PLAIN },
      cwd,
      ...more,
    });
    const ends = [
      supervisor.spawn(shell('exit 0')),
      supervisor.spawn(shell('exit 1')),
      supervisor.spawn(shell('kill -SEGV $$')),
      supervisor.spawn(shell('sleep 300 & exit 0')),
      supervisor.spawn(shell('', { command: 'no-such-program' })),
      supervisor.spawn(shell('', { command: '/' })),
      supervisor.spawn(shell('', { cwd: join(cwd, 'gone') })),
    ].map(({ exited }) => exited);
    await Promise.all(ends);
    const run = supervisor.run({ backoffMs: 10, maxRestarts: 1 }, () =>
      supervisor.spawn(shell('exit 9')),
    );
    await run.done;
    await supervisor.spawn(shell('sleep 300', { kind: 'tool' })).terminate({ force: true });
    const report = await supervisor.stop();
    stop();

    expect(report.survivors).toEqual([]);
    expect([...ear.names]).toEqual(
      expect.arrayContaining(['exited', 'refused', 'leftovers', 'restarting', 'ending', 'swept']),
    );
    for (const secret of [KEY, PLAIN, ARGUMENT]) expect(ear.telling(secret)).toEqual([]);
    // An error names the missing folder, but only to the host, which had named it first.
    expect(ear.telling(FOLDER)).toEqual(['refused']);
    const exported = await telemetry.text();
    expect(exported).toContain('agent_supervisor.process.ends');
    for (const secret of [KEY, PLAIN, ARGUMENT, FOLDER, home])
      expect(exported).not.toContain(secret);
    await telemetry.shutdown();
  });

  it('puts nothing of its output into metrics or spans', async ({ marker, supervise }) => {
    const telemetry = new Telemetry();
    const supervisor = supervise();
    const stop = instrument(supervisor, telemetry.providers);
    const { stderrTail } = await supervisor.spawn({
      command: 'sh',
      args: ['-c', `echo ${SAID}; echo ${SAID} >&2; exit 1`],
      env: { PATH: process.env['PATH'], [MARKER]: marker },
    }).exited;
    stop();
    expect(stderrTail).toContain(SAID);
    expect(await telemetry.text()).not.toContain(SAID);
    await telemetry.shutdown();
  });
});

describe('any planted text', () => {
  const secret = fc.stringMatching(/^[A-Za-z0-9]{16}$/);
  const planted = fc.record({
    ...{ value: secret, argument: secret, folder: secret, failing: fc.boolean() },
    code: fc.integer({ min: 0, max: 255 }),
  });

  it('does not appear in metrics or spans', async () => {
    await fc.assert(
      fc.asyncProperty(planted, async ({ value, argument, folder, failing, code }) => {
        using fake = new FakeSupervision({ pool: { concurrency: 1 } });
        using ear = new Ear();
        const telemetry = new Telemetry();
        const stop = instrument(fake.supervisor, telemetry.providers);
        const cause = new Error('spawn ENOENT');
        if (failing) fake.os.failure = { code: 'COMMAND_NOT_FOUND', message: 'no', cause };
        const request = { env: { KEY: value }, args: [argument], cwd: `/srv/${folder}` };
        const processes = [fake.spawn('a', request), fake.spawn('b', request)];
        if (!failing) fake.os.die(100, code);
        await fake.until(fake.supervisor.stop());
        await Promise.all(processes.map(({ exited }) => exited));
        stop();
        const exported = await telemetry.text();
        await telemetry.shutdown();
        for (const plant of [value, argument, folder]) {
          expect(ear.telling(plant)).toEqual([]);
          expect(exported).not.toContain(plant);
        }
      }),
      { numRuns: 25 },
    );
  });
});
