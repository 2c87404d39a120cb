// A field that is `undefined` is one that was left out: what stands behind it holds.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';

let fake: FakeSupervision;

beforeEach(() => {
  fake = new FakeSupervision();
});
afterEach(() => fake[Symbol.dispose]());

it("lets a hook's own folder and environment hold, as the SDK names a folder only if it has one", () => {
  const hook = fake.supervisor.spawnHook({ cwd: '/work', env: { FLAVOUR: 'mint' } });
  hook({ command: 'a', args: [], cwd: undefined, env: undefined });
  hook({ command: 'b', args: [], cwd: '/other', env: { FLAVOUR: 'lime' } });
  expect(fake.os.launches).toMatchObject([
    { command: 'a', cwd: '/work', env: { FLAVOUR: 'mint' } },
    { command: 'b', cwd: '/other', env: { FLAVOUR: 'lime' } },
  ]);
});

it("lets a hook's own signal hold where the caller has none", async () => {
  const abort = new AbortController();
  const hook = fake.supervisor.spawnHook({ signal: abort.signal });
  const process = hook({ command: 'a', args: [], signal: undefined });
  abort.abort();
  expect(await fake.until(process.exited)).toMatchObject({ cause: 'aborted' });
});

it("lets a lease's session hold, so that it is reaped with it", async () => {
  const lease = await fake.supervisor.acquire({ sessionId: 's' });
  const process = lease.spawn({ command: 'a', sessionId: undefined });
  await fake.until(fake.supervisor.reapSession('s'));
  expect(await process.exited).toMatchObject({ cause: 'reaped', sessionId: 's' });
});

it.for([
  ['args', ['--no-session-persistence']],
  ['args', []],
  ['command', 'claude'],
] as const)('refuses a hook whose own %s each call would go over', ([field, value]) => {
  const defaults = { kind: 'x', [field]: value };
  expect(() => fake.supervisor.spawnHook(defaults)).toThrow(
    expect.objectContaining({
      code: 'INVALID_OPTIONS',
      message: expect.stringMatching(`"${field}" is .*must be left out: the Agent SDK`),
      data: expect.objectContaining({ field }),
    }),
  );
});

it.for(['agent', 'observer', 'tool'])('gives a slot to a hook’s agent of kind %s', async (kind) => {
  const hook = fake.supervisor.spawnHook({ kind });
  for (const command of ['a', 'b', 'c']) hook({ command, args: [] });
  expect(fake.supervisor.list().map(({ holdsSlot }) => holdsSlot)).toEqual([true, true]);
  // Nobody's agent, and so a label is all that it has.
  fake.supervisor.spawn({ command: 'd', kind: 'tool' });
  fake.supervisor.spawnHook({ kind, slot: false })({ command: 'e', args: [] });
  expect(fake.os.launches.map(({ command }) => command)).toEqual(['a', 'b', 'd', 'e']);
});
