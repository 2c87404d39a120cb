// Compiled by `npm run check`: our types against the real SDK's own.
import type { Options, query, SpawnedProcess, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import { describe, expectTypeOf, it } from 'vitest';
import type { superviseQuery } from '../../../src/claude/index.ts';
import type { HookOptions, SpawnHook, SupervisedProcess, Supervisor } from '../../../src/index.ts';

type Hook = NonNullable<Options['spawnClaudeCodeProcess']>;

describe("the SDK's types", () => {
  it('take the spawn hook as it is', () => {
    expectTypeOf<ReturnType<Supervisor['spawnHook']>>().toEqualTypeOf<SpawnHook>();
    expectTypeOf<SpawnHook>().toExtend<Hook>();
    expectTypeOf<{ spawnClaudeCodeProcess: SpawnHook }>().toExtend<Options>();
    expectTypeOf<SpawnOptions>().toExtend<HookOptions>();
  });

  it('take a supervised process as a spawned one', () => {
    expectTypeOf<SupervisedProcess>().toExtend<SpawnedProcess>();
  });

  it('are not satisfied by anything', () => {
    expectTypeOf<Omit<SupervisedProcess, 'exitCode'>>().not.toExtend<SpawnedProcess>();
    expectTypeOf<(options: { command: number }) => SupervisedProcess>().not.toExtend<Hook>();
  });
});

describe('superviseQuery', () => {
  type Supervised<Q extends Parameters<typeof superviseQuery>[0]> = ReturnType<
    typeof superviseQuery<Q>
  >;
  /** As SDK 0.1.77 declares it, where it matters: fewer options, fewer methods. */
  interface OldQuery extends AsyncGenerator<{ type: string }, void> {
    interrupt(): Promise<void>;
  }
  type OldAsk = (params: {
    prompt: string | AsyncIterable<{ type: 'user' }>;
    options?: { abortController?: AbortController };
  }) => OldQuery;

  it("has the type of the query that it is given, whatever the SDK's version", () => {
    expectTypeOf<Supervised<typeof query>>().toEqualTypeOf<typeof query>();
    expectTypeOf<Supervised<OldAsk>>().toEqualTypeOf<OldAsk>();
  });

  it('takes nothing but a query', () => {
    type Query = Parameters<typeof superviseQuery>[0];
    expectTypeOf<() => Promise<void>>().not.toExtend<Query>();
    expectTypeOf<string>().not.toExtend<Query>();
  });
});
