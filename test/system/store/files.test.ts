// What two who share a folder may rely on.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { makePrivateFolder } from '../../../src/store/files.ts';

const THREAD = join(import.meta.dirname, '../../fixtures/take-files.ts');

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

describe.runIf(process.platform === 'linux')('a private folder', () => {
  const userId = process.getuid?.();

  it('is made with those above it, for us alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-folder-'));
    const path = join(folder, 'a', 'b', 'c');
    makePrivateFolder(path, userId);
    makePrivateFolder(path, userId);
    for (const made of [path, join(folder, 'a')]) expect(statSync(made).mode & 0o777).toBe(0o700);
    rmSync(folder, { recursive: true });
  });

  it.each(['/proc/x', '/proc/x/y/z', '/dev/null/x'])(
    'that no one can make (%s) is refused, and not tried for ever',
    async (path) => {
      // In a process of its own: this one would hang with it.
      const { href } = pathToFileURL(join(import.meta.dirname, '../../../src/store/files.ts'));
      const code = `import(${JSON.stringify(href)}).then((files) => files.makePrivateFolder(${JSON.stringify(path)}, ${userId})).catch((error) => console.log(error.code))`;
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', code], {
        timeout: 10_000,
        killSignal: 'SIGKILL',
      });
      expect(stdout.trim()).toMatch(/^(ENOENT|ENOTDIR|EACCES|EPERM)$/);
    },
  );
});
