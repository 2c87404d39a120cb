// What the lanes promise: every test is run by one of them, and test/unit starts and signals nothing.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
/** The folders that a test may import of, but src/, whose own arrows are held elsewhere. */
const FOLDERS = ['test', 'kit', 'soak', 'bench', 'scripts', 'examples'];
const IN_LANE = /^test\/(?:unit|system|agent|package|hosts)\/.*\.(?:test|slow|full)\.ts$/;

const filesIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.ts') && !/\/(?:node_modules|fixtures)\//.test(path));

/** What a mutant must never get hold of. */
const REAL = [
  /^(?:node:)?child_process$/,
  /^execa$/,
  /^tree-kill$/,
  /^kit\/process-table\.ts$/,
  /^src\/os\/(?:launch|linux|darwin|windows|system)\.ts$/,
];

type Sources = ReadonlyMap<string, string>;

/** What a file of ours imports for more than its types: a path of the project, or a module's name. */
function importsOf(path: string, source: string): string[] {
  const statements = source.matchAll(/^(?:import|export)(?! type\b)[^;]*? from '([^']+)'/gm);
  const calls = source.matchAll(/\bimport\('([^']+)'\)/g);
  return [...statements, ...calls].map(([, name = '']) =>
    name.startsWith('.') ? posix.join(posix.dirname(path), name) : name,
  );
}

/** The tests of test/unit that reach a real process through the kit, each with what it reaches. */
function reaching(sources: Sources): string[] {
  const tests = [...sources.keys()].filter((path) => path.startsWith('test/unit/'));
  return tests.flatMap((test) => {
    const seen = new Set([test]);
    for (const path of seen)
      for (const found of importsOf(path, sources.get(path) ?? '')) seen.add(found);
    const real = [...seen].filter((path) => REAL.some((pattern) => pattern.test(path)));
    return real.map((path) => `${test}: ${path}`);
  });
}

describe('the lanes', () => {
  const files = FOLDERS.flatMap(filesIn);
  const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

  it('hold every file that runs tests', () => {
    const withTests = files.filter(
      (path) => /\.(?:test|slow|full)\.ts$/.test(path) && !path.startsWith('examples/'),
    );
    expect(withTests.length).toBeGreaterThan(150);
    expect(withTests.filter((path) => !IN_LANE.test(path))).toEqual([]);
  });

  it('let long tests be in a lane that runs them', () => {
    const slow = files.filter((path) => path.endsWith('.slow.ts'));
    expect(slow.filter((path) => !/^test\/(?:system|agent|package)\//.test(path))).toEqual([]);
  });

  it('start and signal nothing in test/unit', () => {
    expect(reaching(new Map(files.map((path) => [path, read(path)])))).toEqual([]);
  });

  it('would be seen to (the control)', () => {
    const sources = new Map([
      ['test/unit/a.test.ts', "import { b } from '../../kit/b.ts';"],
      ['test/unit/c.test.ts', "import type { Os } from '../../src/os/system.ts';"],
      ['kit/b.ts', "import {\n  spawn,\n} from 'node:child_process';"],
    ]);
    expect(reaching(sources)).toEqual(['test/unit/a.test.ts: node:child_process']);
  });
});
