// Without the SDK's native binary (`npm ci --omit=optional`), a fake agent still works.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Query, query } from '@anthropic-ai/claude-agent-sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { superviseQuery } from '../../../src/claude/index.ts';
import { createTestSupervisor, fakeAgent, say } from '../../../src/testing/index.ts';

const MODULES = join(import.meta.dirname, '../../../node_modules');
const SDK = '@anthropic-ai/claude-agent-sdk';
const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-no-binary-'));
let ask: typeof query;

beforeAll(async () => {
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@anthropic-ai'), { recursive: true });
  cpSync(join(MODULES, SDK), join(modules, SDK), { recursive: true });
  for (const name of ['zod', '@modelcontextprotocol', '@anthropic-ai/sdk'])
    symlinkSync(join(MODULES, name), join(modules, name));
  ({ query: ask } = await import(join(modules, SDK, 'sdk.mjs')));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function lastOf(running: Query): Promise<string | undefined> {
  let last: string | undefined;
  for await (const message of running)
    if (message.type === 'result' && message.subtype === 'success') last = message.result;
  return last;
}

describe('without the native binary', () => {
  const agent = () => fakeAgent([say('Hi.')]);

  it('a supervised query answers', async () => {
    await using supervisor = createTestSupervisor({ agent: agent() });
    expect(await lastOf(superviseQuery(ask, { supervisor })({ prompt: 'Hello?' }))).toBe('Hi.');
  });

  it('a query of the SDK’s own answers with any path, and names the option without one', async () => {
    const options = { spawnClaudeCodeProcess: agent(), pathToClaudeCodeExecutable: 'fake-agent' };
    expect(await lastOf(ask({ prompt: 'Hello?', options }))).toBe('Hi.');
    const { pathToClaudeCodeExecutable: _, ...without } = options;
    expect(() => ask({ prompt: 'Hello?', options: without })).toThrow('pathToClaudeCodeExecutable');
  });
});
