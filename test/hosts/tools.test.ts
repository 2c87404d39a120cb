// The tools that the other tests of this lane want are there, as they are pinned.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { TOOL_NAMES, tool } from '../../kit/tools.ts';

const { dependencies } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../kit/tools/package.json'), 'utf8'),
) as { dependencies: Readonly<Record<string, string>> };

// Two at once: the second waits for the first one's install instead of starting its own.
const scripts = new Map(
  await Promise.all(TOOL_NAMES.map(async (name) => [name, await tool(name)] as const)),
);

it('are all known by name', () => {
  expect([...TOOL_NAMES].sort()).toEqual(Object.keys(dependencies).sort());
});

it.each(TOOL_NAMES)('%s answers with the version that is pinned', async (name) => {
  const args = [scripts.get(name) ?? '', '--version'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  expect(stdout.split('\n')[0]).toMatch(
    new RegExp(`^(?:${name} v)?${dependencies[name]?.replaceAll('.', '\\.')}$`),
  );
});
