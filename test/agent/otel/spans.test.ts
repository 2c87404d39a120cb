// Spans of real processes, as the SDK's in-memory exporter receives them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { query } from '@anthropic-ai/claude-agent-sdk';
import { SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { describe, expect } from 'vitest';
import { agentOptions } from '../../../kit/real-agent.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { steer } from '../../../kit/steer.ts';
import { CAN_WATCH, CAN_WATCH_AGENTS, it as supervised } from '../../../kit/supervised.ts';
import { ms, Telemetry } from '../../../kit/telemetry.ts';
import { superviseQuery } from '../../../src/claude/index.ts';
import type { SpawnRequest, Supervisor, SupervisorEvents } from '../../../src/index.ts';
import { instrument } from '../../../src/otel/index.ts';

const PROCESS = 'agent_supervisor.process';
const STEPS = { admit: 'agent_supervisor.admit', run: 'agent_supervisor.run' };

interface Rig {
  readonly supervisor: Supervisor;
  readonly telemetry: Telemetry;
  /** A program that exits at the end of its stdin. */
  readonly cat: SpawnRequest;
  shell(script: string, more?: Partial<SpawnRequest>): SpawnRequest;
  stop(): void;
}

const it = supervised.extend('rig', async ({ home, supervise }, { onCleanup }): Promise<Rig> => {
  const telemetry = new Telemetry();
  onCleanup(() => telemetry.shutdown());
  const supervisor = supervise({ pool: { concurrency: 1 } });
  // Before the guardian runs, every start would be queued.
  await supervisor.start();
  const shell = (script: string, more: Partial<SpawnRequest> = {}): SpawnRequest => ({
    command: 'sh',
    args: ['-c', script],
    env: { PATH: process.env['PATH'], [MARKER]: home.split('/').at(-1) },
    ...more,
  });
  const stop = instrument(supervisor, telemetry.providers);
  return { supervisor, telemetry, cat: shell('exec cat'), shell, stop };
});

function attributesOf({ attributes }: ReadableSpan): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name.replace('agent_supervisor.', ''),
      value,
    ]),
  );
}

describe.runIf(CAN_WATCH)('the span of a process', () => {
  it('that starts at once is below the active span, with a child span for each phase', async ({
    rig,
  }) => {
    const { supervisor, telemetry, shell } = rig;
    const request = shell('exit 0', { sessionId: 's', kind: 'tool', slot: true });
    const process = telemetry.within('work', () => supervisor.spawn(request));
    await process.exited;
    const [span, ...others] = telemetry.spans(PROCESS);
    if (span === undefined) throw new Error('no span');
    expect(others).toEqual([]);
    expect(telemetry.lineage(span)).toEqual([PROCESS, 'work']);
    expect(telemetry.below(span)).toEqual([STEPS.admit, STEPS.run]);
    expect(attributesOf(span)).toStrictEqual({
      ...{ id: process.id, kind: 'tool', 'session.id': 's', 'process.pid': process.pid },
      ...{ cause: 'completed', forced: false, 'process.exit.code': 0 },
    });
    expect(span.status).toEqual({ code: SpanStatusCode.UNSET });
  });

  it('that waits is below the span of its request, and not of the call that freed the slot', async ({
    rig: { supervisor, telemetry, cat },
  }) => {
    const holder = telemetry.within('holder', () => supervisor.spawn(cat));
    const one = telemetry.within('one', () => supervisor.spawn(cat));
    const two = telemetry.within('two', () => supervisor.spawn(cat));
    expect([one.pid, two.pid]).toEqual([undefined, undefined]);
    for (const process of [holder, one, two]) {
      await process.started;
      telemetry.within('somebody else', () => process.stdin.end());
      await process.exited;
    }
    const spans = telemetry.spans(PROCESS);
    expect(spans.map((span) => telemetry.lineage(span).at(-1))).toEqual(['holder', 'one', 'two']);
    expect(spans.map((span) => telemetry.below(span))).toEqual(
      Array(3).fill([STEPS.admit, STEPS.run]),
    );
    expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(3);
    // Each waited for the one before it.
    const [, ...granted] = telemetry.spans(STEPS.admit).map(({ endTime }) => ms(endTime));
    const [first = 0, second = 0] = spans.map(({ endTime }) => ms(endTime));
    expect(granted[0]).toBeGreaterThanOrEqual(first);
    expect(granted[1]).toBeGreaterThanOrEqual(second);
  });

  it('of the hook is below the span of the query that calls it', async ({
    rig: { supervisor, telemetry, cat },
  }) => {
    const hook = supervisor.spawnHook({ sessionId: 'q' });
    const { command, args = [], env } = cat;
    const call = () => hook({ command, args, env, signal: new AbortController().signal });
    const queries = ['first query', 'second query'].map((name) => telemetry.within(name, call));
    for (const process of queries) {
      await process.started;
      process.stdin.end();
      await process.exited;
    }
    expect(telemetry.spans(PROCESS).map((span) => telemetry.lineage(span))).toEqual([
      [PROCESS, 'first query'],
      [PROCESS, 'second query'],
    ]);
  });

  it.runIf(CAN_WATCH_AGENTS)(
    'of a real query is below the span of the request, at once or queued',
    async ({ api, home, marker, rig: { supervisor, telemetry } }) => {
      const supervisedQuery = superviseQuery(query, { supervisor });
      const options = agentOptions(api.url, home, { [MARKER]: marker });
      const ask = async (): Promise<number> => {
        let messages = 0;
        const prompt = steer([{ text: 'Hello.' }]);
        for await (const _ of supervisedQuery({ prompt, options })) messages++;
        return messages;
      };
      const names = ['first question', 'second question'];
      const answers = await Promise.all(names.map((name) => telemetry.within(name, ask)));
      expect(Math.min(...answers)).toBeGreaterThan(1);
      expect(telemetry.spans(PROCESS).map((span) => telemetry.lineage(span))).toEqual([
        [PROCESS, 'first question'],
        [PROCESS, 'second question'],
      ]);
    },
  );

  it('of a lease is below the span that spawns, not the one that requested the slot', async ({
    rig: { supervisor, telemetry, shell },
  }) => {
    const lease = await telemetry.within('acquire', () => supervisor.acquire());
    await telemetry.within('step', () => lease.spawn(shell('exit 0')).exited);
    lease.release();
    const [span] = telemetry.spans(PROCESS);
    expect(span && telemetry.lineage(span)).toEqual([PROCESS, 'step']);
  });

  it('of each attempt of a run is below the span in which the run began', async ({
    rig: { supervisor, telemetry, shell },
  }) => {
    const run = telemetry.within('run', () =>
      supervisor.run({ backoffMs: 10 }, ({ attempt }) =>
        supervisor.spawn(shell(`exit ${attempt === 1 ? 7 : 0}`)),
      ),
    );
    await run.done;
    const spans = telemetry.spans(PROCESS);
    expect(spans.map((span) => telemetry.lineage(span))).toEqual([
      [PROCESS, 'run'],
      [PROCESS, 'run'],
    ]);
    expect(spans.map((span) => attributesOf(span)['process.exit.code'])).toEqual([7, 0]);
  });

  it('that was adopted is below the span that adopts it', async ({
    marker,
    rig: { supervisor, telemetry },
  }) => {
    const child = spawn('sleep', ['300'], {
      env: { ...process.env, [MARKER]: marker },
      detached: true,
      stdio: 'ignore',
    });
    const adopted = await telemetry.within('adopt', () =>
      supervisor.adopt({ pid: child.pid ?? 0 }),
    );
    await adopted.terminate();
    const [span] = telemetry.spans(PROCESS);
    expect(span && telemetry.lineage(span)).toEqual([PROCESS, 'adopt']);
    expect(span && telemetry.below(span)).toEqual([STEPS.run, 'agent_supervisor.end']);
    expect(span && attributesOf(span)).toMatchObject({ cause: 'terminated', kind: 'adopted' });
  });
});

describe.runIf(CAN_WATCH)('the end of a process', () => {
  it('on purpose has a span of its own, and is no error', async ({
    rig: { supervisor, telemetry, shell },
  }) => {
    const stubborn = supervisor.spawn(shell("trap '' TERM; echo ready; while :; do sleep 1; done"));
    await new Promise((resolve) => stubborn.stdout.once('data', resolve));
    await stubborn.terminate({ force: true });
    const [span] = telemetry.spans(PROCESS);
    expect(span && telemetry.below(span)).toEqual([
      ...[STEPS.admit, STEPS.run, 'agent_supervisor.end'],
    ]);
    expect(span?.status.code).toBe(SpanStatusCode.UNSET);
    expect(span && attributesOf(span)).toMatchObject({
      ...{ cause: 'terminated', forced: true, signal: 'SIGKILL' },
    });
  });

  it.for([
    ['failed', 'exit 3', { 'process.exit.code': 3 }],
    ['crashed', 'kill -SEGV $$', { signal: 'SIGSEGV' }],
  ] as const)('that %s is an error', async ([cause, script, how], { rig }) => {
    const { supervisor, telemetry, shell } = rig;
    await supervisor.spawn(shell(script)).exited;
    const [span] = telemetry.spans(PROCESS);
    expect(span?.status).toEqual({ code: SpanStatusCode.ERROR });
    expect(span && attributesOf(span)).toMatchObject({ cause, 'error.type': cause, ...how });
  });

  it('with leftovers has an event for them, and lasts until they are dead', async ({
    rig: { supervisor, telemetry, shell },
  }) => {
    const { leftovers } = await supervisor.spawn(shell('sleep 300 & exit 0')).exited;
    expect(leftovers).toHaveLength(1);
    const [span] = telemetry.spans(PROCESS);
    expect(span?.events.map(({ name, attributes }) => [name, attributes])).toEqual([
      ['leftovers', { 'agent_supervisor.count': 1 }],
    ]);
    expect(span && telemetry.below(span)).toEqual([
      ...[STEPS.admit, STEPS.run, 'agent_supervisor.end'],
    ]);
  });

  it('of a refused request has a span too: an error, unless the host withdrew it', async ({
    rig: { supervisor, telemetry, cat, shell },
  }) => {
    const holder = supervisor.spawn(cat);
    const missing = { ...shell(''), command: 'no-such-program', kind: 'tool' };
    await telemetry.within('typo', () => supervisor.spawn(missing)).exited;
    const queued = telemetry.within('change of mind', () => supervisor.spawn(cat));
    queued.kill();
    await queued.exited;
    const spans = telemetry.spans(PROCESS);
    expect(spans.map((span) => telemetry.lineage(span))).toEqual([
      [PROCESS, 'typo'],
      [PROCESS, 'change of mind'],
    ]);
    expect(spans.map((span) => telemetry.below(span))).toEqual([[STEPS.admit], [STEPS.admit]]);
    expect(spans.map(({ status }) => status)).toEqual([
      { code: SpanStatusCode.ERROR },
      { code: SpanStatusCode.UNSET },
    ]);
    expect(spans.map((span) => attributesOf(span))).toMatchObject([
      { cause: 'not-started', 'error.type': 'COMMAND_NOT_FOUND' },
      { cause: 'not-started', 'error.type': 'ABORTED' },
    ]);
    await holder.terminate();
  });
});

describe.runIf(CAN_WATCH)('instrument, once stopped,', () => {
  it('ends the spans of running processes, and begins no other', async ({ rig }) => {
    const { supervisor, telemetry, cat, stop } = rig;
    const running = telemetry.within('work', () => supervisor.spawn(cat));
    const waiting = supervisor.spawn(cat);
    stop();
    const before = telemetry.spans();
    expect(before.map(({ name }) => name).sort()).toEqual(
      ['work', PROCESS, STEPS.admit, STEPS.run, PROCESS, STEPS.admit].sort(),
    );
    const exited: SupervisorEvents['exited'][] = [];
    supervisor.on('exited', (report) => exited.push(report));
    waiting.kill();
    await running.terminate();
    await supervisor.spawn({ ...cat, args: ['-c', 'exit 0'] }).exited;
    expect(exited).toHaveLength(2);
    expect(telemetry.spans()).toEqual(before);
  });
});

describe('instrument', () => {
  it('uses the registered providers', async ({ home, supervise }) => {
    const { metrics, trace } = await import('@opentelemetry/api');
    const telemetry = new Telemetry();
    trace.setGlobalTracerProvider(telemetry.tracerProvider);
    metrics.setGlobalMeterProvider(telemetry.meterProvider);
    try {
      const supervisor = supervise();
      const stop = instrument(supervisor);
      await supervisor.spawn({ command: join(home, 'nothing') }).exited;
      stop();
      expect(telemetry.spans(PROCESS)).toHaveLength(1);
      expect((await telemetry.metrics())['process.refusals']).toHaveLength(1);
    } finally {
      trace.disable();
      metrics.disable();
      await telemetry.shutdown();
    }
  });

  it.for([
    ['an unknown option', { meter: {} }, '"meter"'],
    ['a wrong one', { tracerProvider: 3 }, '"tracerProvider" is 3, but must have getTracer()'],
    ['what is no object', 'x', '"options" is "x"'],
  ] as const)('refuses %s', ([, options, message], { supervise }) => {
    const call = () => instrument(supervise(), options as never);
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(call).toThrow(message);
  });

  it('refuses anything but a supervisor', () => {
    for (const other of [undefined, null, {}, 'supervisor']) {
      expect(() => instrument(other as never)).toThrow('pass what getSupervisor() returns');
    }
  });
});
