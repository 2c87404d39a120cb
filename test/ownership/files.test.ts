// What two who share a folder may rely on.
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';

const THREAD = join(import.meta.dirname, '../fixtures/take-files.ts');

it('a file is taken by one, of two who try it at the same moment', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-take-'));
  const count = 500;
  for (let at = 0; at < count; at++) writeFileSync(join(folder, String(at)), '');
  const workerData = { folder, count, shared: new SharedArrayBuffer(4 * count) };
  const threads = [1, 2].map(() => new Worker(THREAD, { workerData }));
  const taken = await Promise.all(
    threads.map(async (thread) => (await once(thread, 'message'))[0]),
  );
  expect(taken[0] + taken[1]).toBe(count);
  expect(readdirSync(folder)).toEqual([]);
  rmSync(folder, { recursive: true });
});
