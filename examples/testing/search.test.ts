import { createTestSupervisor, FakeClock, fakeProgram } from 'agent-supervisor/testing';
import { expect, test } from 'vitest';
import { database, keepIndexing } from './search.ts';

test('the database comes back after a crash', async () => {
  const clock = new FakeClock();
  const chroma = fakeProgram((process) => process.listen({ port: 8000 })); // ready at once
  await using _ = createTestSupervisor({ asSingleton: true, clock, programs: { chroma } });
  const first = await clock.until(database().ensure());

  chroma.processes[0]?.crash();
  await clock.settle();
  expect(database().state).toBe('waiting');
  await clock.advance(1_000); // its backoff

  expect(database().state).toBe('ready');
  expect((await database().ensure()).pid).not.toBe(first.pid);
});

test('the indexer is started again, until it is done', async () => {
  const clock = new FakeClock();
  const indexer = fakeProgram();
  await using _ = createTestSupervisor({ asSingleton: true, clock, programs: { indexer } });
  const run = keepIndexing();
  await clock.settle(); // it runs

  indexer.processes[0]?.exit(1);
  await clock.advance(1_000);
  expect(indexer.processes).toHaveLength(2);

  indexer.processes[1]?.exit(0);
  expect(await run.done).toMatchObject({ outcome: 'completed', restarts: 1 });
});
