// Every way in which a supervised query ends, with the real SDK and its real agent.
import { type Query, query } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect } from 'vitest';
import { eventually } from '../../kit/process-table.ts';
import { type Step, steer } from '../../kit/steer.ts';
import { CAN_WATCH_AGENTS } from '../../kit/supervised.ts';
import {
  all,
  costs,
  it,
  LEAVES_A_SLEEP,
  outcome,
  Prompts,
  result,
  untilTool,
} from '../../kit/supervised-query.ts';
import { superviseQuery } from '../../src/claude/index.ts';
import type { ExitReport, SupervisorError } from '../../src/index.ts';

describe.runIf(CAN_WATCH_AGENTS)('a supervised query', () => {
  const ENDS: readonly [string, (running: Query) => Promise<unknown>][] = [
    [
      'break',
      async (running) => {
        for await (const { type } of running) if (type === 'user') break;
      },
    ],
    [
      'return()',
      async (running) => {
        await untilTool(running);
        await running.return(undefined);
      },
    ],
    [
      'throw()',
      async (running) => {
        await untilTool(running);
        await running.throw(new Error('mine')).catch(() => undefined);
      },
    ],
    [
      'close()',
      async (running) => {
        await untilTool(running);
        running.close();
        await all(running);
      },
    ],
    [
      'leaving an `await using`',
      async (running) => {
        await using it = running;
        await untilTool(it);
      },
    ],
  ];
  it.for(ENDS)('ends all by %s', async ([, end], { supervised, optionsOf, alive, expectLeak }) => {
    const prompt = steer([LEAVES_A_SLEEP, { hang: true, text: 'Never.' }]);
    const ask = supervised();
    const abortController = new AbortController();
    await end(ask({ prompt, options: optionsOf({ abortController }) }));
    expect(alive()).toEqual([]);
    expect(ask.reports).toMatchObject([{ cause: 'terminated', intentional: true }]);
    // It is the caller's, who may have more queries on it.
    expect(abortController.signal.aborted).toBe(false);
    await end(query({ prompt, options: optionsOf() }));
    await expectLeak();
  });
});

describe.runIf(CAN_WATCH_AGENTS)('an end by the supervisor comes out with its report:', () => {
  it.for([
    ['reaped', 'ABORTED'],
    ['shutdown', 'STOPPING'],
    ['duplicate', 'CONVERSATION_BUSY'],
    ['lifetime', 'ABORTED'],
  ] as const)('%s as %s', async ([cause, code], { supervise, api, marker, optionsOf, alive }) => {
    const supervisor = supervise();
    const limits = cause === 'lifetime' ? { lifetimeMs: 2000 } : {};
    const reports: ExitReport[] = [];
    const ask = superviseQuery(query, {
      supervisor,
      sessionId: 's',
      limits,
      onExit: (report) => reports.push(report),
    });
    const sessionId = crypto.randomUUID();
    const running = outcome(
      ask({
        prompt: steer([LEAVES_A_SLEEP, { gate: marker, text: 'Never.' }]),
        options: optionsOf({ sessionId }),
      }),
    );
    // However slow its start is, its lifetime ends by itself.
    if (cause !== 'lifetime') await eventually(() => api.waiting(marker) === 1);
    if (cause === 'reaped') await supervisor.reapSession('s', { reason: 'it is morning' });
    if (cause === 'shutdown') await supervisor.stop();
    const next =
      cause === 'duplicate' &&
      outcome(
        ask({ prompt: steer([{ text: 'Next.' }]), options: optionsOf({ resume: sessionId }) }),
      );
    const { error } = await running;
    expect(error).toMatchObject({ code, data: { report: { cause, sessionId: 's' } } });
    expect((error as SupervisorError).data['report']).toBe(reports[0]);
    if (cause === 'reaped') expect(String(error)).toContain('the cause "reaped": it is morning');
    if (next) expect(await next).toMatchObject({ text: 'Next.' });
    expect(alive()).toEqual([]);
  });
});

describe.runIf(CAN_WATCH_AGENTS)('a budget', () => {
  const say = (text: string, more: Step = {}) => steer([{ text, ...costs(1), ...more }]);

  it('that is spent refuses the next query, and without one it runs', async ({
    supervised,
    optionsOf,
  }) => {
    // A thousand tokens of input cost $0.004.
    const ask = supervised({ sessionId: 's', budget: { perSessionUsd: 0.008 } });
    const run = async (query: typeof ask) =>
      outcome(query({ prompt: say('Said.'), options: optionsOf() }));
    expect(await run(ask)).toMatchObject({ text: 'Said.' });
    expect(await run(ask)).toMatchObject({ text: 'Said.' });
    const { error } = await run(ask);
    expect(error).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      data: { budget: 'perSessionUsd', sessionId: 's' },
    });
    expect(error).toBe(ask.reports[2]?.error);
    expect(await run(supervised({ sessionId: 's' }))).toMatchObject({ text: 'Said.' });
    expect(await run(supervised({ sessionId: 's', budget: { perSessionUsd: 0.1 } }))).toMatchObject(
      { text: 'Said.' },
    );
  });

  it.for([true, false])(
    'ends a running one between two turns: %s',
    async (endRunning, { supervised, optionsOf, alive }) => {
      const ask = supervised({ sessionId: 's', budget: { maxTokens: 2000, endRunning } });
      const turns = new Prompts();
      const running = ask({ prompt: turns.iterate(), options: optionsOf() });
      turns.say(say('One.'));
      expect((await result(running)).subtype).toBe('success');
      turns.say(say('Two.'));
      expect((await result(running)).subtype).toBe('success');
      if (endRunning) {
        const { error } = await outcome(running);
        expect(error).toMatchObject({
          code: 'BUDGET_EXCEEDED',
          data: { report: { cause: 'budget' } },
        });
        expect(String(error)).toContain('Session "s" has spent 2000 tokens');
        expect(alive()).toEqual([]);
      } else {
        turns.say(say('Three.'));
        expect((await result(running)).subtype).toBe('success');
        turns.end();
        expect(await outcome(running)).toEqual({ text: undefined });
      }
    },
  );

  it.for([true, false])(
    'ends a running one in mid-turn: %s',
    async (endRunning, { supervised, api, marker, optionsOf, alive }) => {
      const ask = supervised({ sessionId: 's', budget: { perSessionUsd: 0.004, endRunning } });
      const steps = [
        { ...costs(1), ...LEAVES_A_SLEEP },
        { gate: marker, text: 'Done.' },
      ];
      const running = outcome(ask({ prompt: steer(steps), options: optionsOf() }));
      if (endRunning) {
        const { error } = await running;
        expect(error).toMatchObject({
          code: 'BUDGET_EXCEEDED',
          data: { report: { cause: 'budget' } },
        });
        expect(alive()).toEqual([]);
      } else {
        await eventually(() => api.waiting(marker) === 1);
        api.open(marker);
        expect(await running).toMatchObject({ text: 'Done.' });
      }
    },
  );

  it('that ends with the one answer of a query lets it have it', async ({
    supervised,
    optionsOf,
  }) => {
    const ask = supervised({ sessionId: 's', budget: { perSessionUsd: 0.004, endRunning: true } });
    const all = { prompt: say('Whole.'), options: optionsOf() };
    expect((await outcome(ask(all))).text).toBe('Whole.');
  });
});
