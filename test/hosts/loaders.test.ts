// Hosts in TypeScript that other people's loaders run.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { expectService, expectWatched, hostProject } from '../../kit/bundled-host.ts';
import { bundlers, tool } from '../../kit/tools.ts';

const tools = await bundlers();
const tsx = await tool('tsx');
const project = await hostProject();

afterAll(() => project.remove());

/** A folder of the project with the host in TypeScript, as ES modules or as CommonJS. */
async function typed(type: 'module' | 'commonjs'): Promise<string> {
  const folder = join(project.folder, `in-${type}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type }));
  const compilerOptions = { module: 'commonjs', moduleResolution: 'node10', target: 'es2022' };
  if (type === 'commonjs')
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  for (const name of ['life', 'host']) {
    const text = await readFile(join(project.folder, `${name}.js`), 'utf8');
    // Types, and an enum, which Node's own stripping of types refuses.
    const types = `// @ts-nocheck\nenum Kind { Host = '${name}' }\nconst kind: Kind = Kind.Host;\nif (!kind) throw new Error('no enum');\n`;
    await writeFile(join(folder, `${name}.ts`), types + text.replace("'./life.js'", "'./life'"));
  }
  return folder;
}

const inTools = (path: string): string => join(tools, 'node_modules', path);

it.each([
  ['ts-node', [process.execPath, '-r', inTools('ts-node/register/transpile-only')]],
  ['@swc-node/register', [process.execPath, '-r', inTools('@swc-node/register/index.js')]],
  ['jiti', [process.execPath, inTools('jiti/lib/jiti-cli.mjs')]],
])('%s', async (name, command) => {
  const folder = await typed(name === 'jiti' ? 'module' : 'commonjs');
  await expectService([...command, join(folder, 'host.ts')], folder);
});

it('tsx watch starts it again when it changes, and what the old one has started is gone', async () => {
  const folder = await typed('module');
  const host = join(folder, 'host.ts');
  const change = async () => writeFile(host, `${await readFile(host, 'utf8')}// changed\n`);
  const { before, after } = await expectWatched(
    [process.execPath, tsx, 'watch', host],
    folder,
    change,
  );
  expect(before).not.toBe(after);
});
