// The house: folders in their order, imports that lead down, and one folder that touches the system.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { DECIDING_MODULES, FOLDERS, importReader, readArrows } from '../../../kit/architecture.ts';

const ROOT = join(import.meta.dirname, '../../..');
const reader = await importReader();

describe('src', async () => {
  const { violations, imports } = await readArrows(reader, ROOT);

  it('is read', () => {
    expect(imports).toBeGreaterThan(1_000);
  });

  it('has a known folder for every file', async () => {
    const entries = await readdir(join(ROOT, 'src'), { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(folders.filter((name) => !FOLDERS.includes(name))).toEqual([]);
    const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    const words = ['check.ts', 'errors.ts', 'events.ts', 'reports.ts'];
    expect(files.sort()).toEqual([...words, 'index.ts'].sort());
  });

  it('has the deciding modules where the rules look for them', async () => {
    const paths = await readdir(join(ROOT, 'src'), { recursive: true });
    const found = new Set(paths.map((path) => `src/${path.replaceAll('\\', '/')}`));
    expect(DECIDING_MODULES.filter((path) => !found.has(path))).toEqual([]);
  });

  it('breaks no rule', () => {
    expect(violations).toEqual([]);
  });
});

describe('each rule can fail', async () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((path) => rm(path, { recursive: true }))));

  const read = async (files: Readonly<Record<string, string>>): Promise<string[]> => {
    const root = await mkdtemp(join(tmpdir(), 'agent-supervisor-arrows-'));
    folders.push(root);
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, 'src', path)), { recursive: true });
      await writeFile(join(root, 'src', path), text);
    }
    return (await readArrows(reader, root)).violations;
  };

  it.each([
    ['os import what is below', 'os/a.ts', 'tree/b.ts'],
    ['tree import what is below', 'tree/a.ts', 'store/b.ts'],
    ['store import what is below', 'store/a.ts', 'policy/limits/b.ts'],
    ['claude-code and ready import what is below', 'ready/a.ts', 'daemon/b.ts'],
    ['policy import what is below', 'policy/limits/a.ts', 'process/b.ts'],
    ['containment import what is below', 'containment/a.ts', 'process/b.ts'],
    ['process import what is below', 'process/a.ts', 'supervisor/b.ts'],
    ['supervisor import what is below', 'supervisor/a.ts', 'index.ts'],
    ['the main entry imports no surface', 'index.ts', 'mcp/b.ts'],
    ['words import words', 'events.ts', 'os/b.ts'],
    ['a surface imports no other, but what inspect reads', 'service/a.ts', 'daemon/b.ts'],
    ['inspect is read by those that show', 'testing/a.ts', 'inspect/b.ts'],
    ['otel imports the folders that it names', 'otel/a.ts', 'store/b.ts'],
    ['testing imports the folders that it names', 'testing/a.ts', 'supervisor/supervisor.ts'],
  ])('%s', async (rule, from, to) => {
    const target = `${'../'.repeat(from.split('/').length - 1) || './'}${to}`;
    const broken = [`${rule}: src/${from} -> src/${to}`];
    const sources = [
      `import { b } from '${target}'; console.log(b);`,
      `import type { B } from '${target}'; export const a = {} as B;`,
      `export const a = () => import('${target}');`,
    ];
    for (const source of sources)
      expect(
        await read({ [from]: source, [to]: 'export const b = 1; export type B = 1;' }),
      ).toEqual(broken);
  });

  it('lets imports lead down', async () => {
    const b = 'export const b = 1;';
    const files = {
      'cli/a.ts': `import { b } from '../inspect/b.ts'; import { c } from '../index.ts'; console.log(b, c);`,
      'inspect/b.ts': `export { b } from '../supervisor/internals.ts';`,
      'index.ts': `export { b as c } from './supervisor/internals.ts';`,
      'supervisor/internals.ts': `export { b } from '../os/os.ts';`,
      'os/os.ts': b,
    };
    expect(await read(files)).toEqual([]);
  });

  it('no circle, of types either', async () => {
    const files = {
      'tree/a.ts': `import type { B } from './b.ts'; export type A = B;`,
      'tree/b.ts': `import type { A } from './a.ts'; export type B = A;`,
    };
    expect(await read(files)).toEqual(['no circle: src/tree/a.ts -> src/tree/b.ts']);
  });

  it('every import leads somewhere', async () => {
    expect(await read({ 'os/a.ts': `import './gone.ts';` })).toEqual([
      'every import leads somewhere: src/os/a.ts -> ./gone.ts',
    ]);
  });

  it.each([
    `import { spawn } from 'node:child_process'; spawn('true');`,
    `export const f = () => builtin('node:child_process');`,
    `export const f = () => process.getBuiltinModule('node:child_process');`,
  ])('only os touches the system: %s', async (source) => {
    const rule = 'only os touches the system: src/process/a.ts -> child_process';
    expect(await read({ 'process/a.ts': source })).toEqual([rule]);
    expect(await read({ 'os/a.ts': source })).toEqual([]);
    const type = `import type { ChildProcess } from 'node:child_process'; export type A = ChildProcess;`;
    expect(await read({ 'process/a.ts': type })).toEqual([]);
  });

  it('a deciding module reaches nothing of Node, itself or by another', async () => {
    const rule = 'a deciding module reaches nothing of Node';
    const files = {
      'tree/ladder.ts': `import { a } from './a.ts'; console.log(a);`,
      'tree/cookie.ts': `import { hash } from 'node:crypto'; console.log(hash);`,
      'tree/tree.ts': `import type { A } from './a.ts'; export type T = A;`,
      'tree/a.ts': `import { readFileSync } from 'node:fs'; export const a = readFileSync; export type A = 1;`,
    };
    expect((await read(files)).sort()).toEqual([
      `${rule}: src/tree/cookie.ts -> crypto`,
      `${rule}: src/tree/ladder.ts -> fs`,
    ]);
  });
});
