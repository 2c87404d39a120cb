import {
  askPermission,
  createTestSupervisor,
  exit,
  expectNoLeaks,
  fakeAgent,
  type LeakMatchers,
  misbehave,
  result,
  say,
} from 'agent-supervisor/testing';
import { expect, test } from 'vitest';
import { summarize } from './plugin.ts';

declare module 'vitest' {
  interface Matchers<R> extends LeakMatchers<R> {}
}

test('says what the agent says', async () => {
  const agent = fakeAgent([say('It is short.'), result({ costUsd: 0.02 })]);
  await using supervisor = createTestSupervisor({ asSingleton: true, agent });
  expect(await summarize('notes.md')).toBe('It is short.');
  expect(agent.calls[0]?.prompts).toEqual(['Summarize notes.md.']);
  expect(supervisor.session('notes.md')).toMatchObject({ processes: 1 });
});

test('lets it read and nothing else', async () => {
  const agent = fakeAgent(function* () {
    yield askPermission('Read', { file_path: 'notes.md' }, { output: 'Hello.' });
    const answer = yield askPermission('Bash', { command: 'rm notes.md' });
    yield say(`Bash: ${answer?.message}`);
  });
  await using _ = createTestSupervisor({ asSingleton: true, agent });
  expect(await summarize('notes.md')).toBe('Bash: Only reading is allowed.');
});

test('passes on that the agent has crashed', async () => {
  await using _ = createTestSupervisor({ asSingleton: true, agent: fakeAgent([exit(3)]) });
  await expect(summarize('notes.md')).rejects.toThrow('exited with code 3');
});

test('ends even a program that listens to nobody', async () => {
  await using supervisor = createTestSupervisor({ ladder: { stdinEofMs: 50, termMs: 50 } });
  await supervisor.spawn(misbehave.ignoresSigterm()).started;
  await expect(supervisor).not.toHaveNoLiveProcesses();
  await supervisor.stop();
  await expectNoLeaks();
});
