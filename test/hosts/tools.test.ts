// The tools that the other tests of this lane want are there, as they are pinned.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { makeTempDir, removeTempDir } from '../../kit/real-agent.ts';
import { LIBRARY_NAMES, TOOL_NAMES, tool } from '../../kit/tools.ts';

const { dependencies } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../kit/tools/package.json'), 'utf8'),
) as { dependencies: Readonly<Record<string, string>> };

// Two at once: the second waits for the first one's install instead of starting its own.
const scripts = new Map(
  await Promise.all(TOOL_NAMES.map(async (name) => [name, await tool(name)] as const)),
);

it('are all known by name', () => {
  expect([...TOOL_NAMES, ...LIBRARY_NAMES].sort()).toEqual(Object.keys(dependencies).sort());
});

it.each(TOOL_NAMES)('%s answers with the version that is pinned', async (name) => {
  const args = [scripts.get(name) ?? '', '--version'];
  // PM2 greets its first user, and makes a folder for that.
  const env = { ...process.env, PM2_HOME: await makeTempDir() };
  const options = { timeout: 30_000, env };
  const { stdout } = await promisify(execFile)(process.execPath, args, options);
  await removeTempDir(env.PM2_HOME);
  expect(
    stdout
      .trimEnd()
      .split('\n')
      .at(name === 'tsx' ? 0 : -1),
  ).toMatch(new RegExp(`^(?:${name} v)?${dependencies[name]?.replaceAll('.', '\\.')}$`));
});
