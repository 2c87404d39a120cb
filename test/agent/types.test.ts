// Compiled by `npm run check`: our types against the real SDK's own.
import type { Options, SpawnedProcess, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import { describe, expectTypeOf, it } from 'vitest';
import type { HookOptions, SpawnHook, SupervisedProcess, Supervisor } from '../../src/index.ts';

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
