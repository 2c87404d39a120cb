import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  buildGraph,
  DECIDING_MODULES,
  findCycles,
  findImpureDeciders,
  findLaterStations,
  findLongFiles,
  findOversize,
  findStrays,
  findSystemAccess,
  findWrongArrows,
  type ImportGraph,
  layerOf,
  measureCore,
  parseImports,
  reachableFrom,
} from './import-graph.ts';
import { countCodeLines, maskSource } from './source-text.ts';

/** What everything that the main entry reaches may come to. */
// Measured with the corridor, containment, recovery, admission, limits, listeners, pid files, folders and the history,
// on all systems, with the proof that no number has changed hands, the time that goes on only while the host runs, heartbeats, streams of every kind and the marks of other agents: 12,097 lines in 121 files, a sixth of them the twins and parsers for macOS and Windows. The gate stands
// just above, so that growth is a decision and not a drift.
const CORE_LIMITS = { files: 121, lines: 12_150 };
const MAX_FILE_LINES = 250;
/** Files that were looked at again and stay long, each with its reason. */
// The public class: all of its methods, their doc comments and their schemas; it decides nothing.
// The checks are one table; the way out and back of a spawn gets a page of its own with the house.
// A launcher's and a service's ways are each told in one piece.
const LONG_FILES: readonly string[] = [
  'supervisor.ts',
  'doctor/checks.ts',
  'spawn/spawn.ts',
  'daemon/ensure.ts',
  'service/service.ts',
];
/** Deciding modules that a later issue brings. */
const NOT_YET: readonly string[] = [];

function readHouse(): ImportGraph {
  const root = join(import.meta.dirname, '../../../src');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  );
  return buildGraph(
    new Map(
      files.map((path) => [path.replaceAll(sep, '/'), readFileSync(join(root, path), 'utf8')]),
    ),
  );
}

function sketch(files: Readonly<Record<string, string>>): ImportGraph {
  return buildGraph(new Map(Object.entries(files)));
}

describe('the house', () => {
  const house = readHouse();

  it('has a place for every file, and every import a file', () => {
    expect(house.edges.length).toBeGreaterThan(house.sources.size);
    expect(findStrays(house)).toEqual([]);
  });

  it('keeps the arrows: surfaces -> supervisor -> stations -> os', () => {
    expect(findWrongArrows(house)).toEqual([]);
  });

  it('lets no station import a later one, termination excepted', () => {
    expect(findLaterStations(house)).toEqual([]);
  });

  it('touches the system in os/ only', () => {
    expect(findSystemAccess(house)).toEqual([]);
  });

  it('has the deciding modules where the rules look for them', () => {
    const missing = DECIDING_MODULES.filter((path) => !house.sources.has(path));
    expect(missing.filter((path) => !NOT_YET.includes(path))).toEqual([]);
  });

  it('lets no deciding module reach node:*', () => {
    expect(findImpureDeciders(house)).toEqual([]);
  });

  it('has no import cycle at run time', () => {
    expect(findCycles(house)).toEqual([]);
  });

  it('stays small', () => {
    expect(measureCore(house).files).toBeGreaterThan(0);
    expect(findOversize(house, CORE_LIMITS)).toEqual([]);
  });

  it('has no file that asks to be looked at again', () => {
    expect(findLongFiles(house, MAX_FILE_LINES, LONG_FILES)).toEqual([]);
  });
});

describe('each rule can fail', () => {
  it('strays: a folder the house does not have, an import that leads nowhere', () => {
    const graph = sketch({
      'utils/misc.ts': '',
      'helper.ts': '',
      'os/os.ts': `import './gone.ts';`,
      'spawn/spawn.ts': `import { x } from '../os/os.ts';\nimport { z } from 'zod';`,
    });
    expect(findStrays(graph)).toEqual(['utils/misc.ts', 'helper.ts', 'os/os.ts -> os/gone.ts']);
  });

  it.each([
    ['a station, the supervisor', 'spawn/spawn.ts', '../supervisor.ts', 'supervisor.ts'],
    ['a station, the main entry', 'limits/idle.ts', '../index.ts', 'index.ts'],
    ['a station, a surface', 'admission/pool.ts', '../claude/hook.ts', 'claude/hook.ts'],
    ['os, a station', 'os/linux.ts', '../termination/ladder.ts', 'termination/ladder.ts'],
    ['the supervisor, a surface', 'supervisor.ts', './mcp/transport.ts', 'mcp/transport.ts'],
    ['a word, the supervisor', 'events.ts', './supervisor.ts', 'supervisor.ts'],
  ])('arrows: %s', (_, from, specifier, to) => {
    const value = sketch({ [from]: `import { x } from '${specifier}';`, [to]: '' });
    const type = sketch({ [from]: `import type { X } from '${specifier}';`, [to]: '' });
    const dynamic = sketch({ [from]: `const x = await import('${specifier}');`, [to]: '' });
    expect(findWrongArrows(value)).toEqual([`${from} -> ${to}`]);
    expect(findWrongArrows(type)).toEqual([`${from} -> ${to} (type)`]);
    expect(findWrongArrows(dynamic)).toEqual([`${from} -> ${to}`]);
  });

  it('arrows: the allowed ones pass', () => {
    const graph = sketch({
      'claude/hook.ts': `import { x } from '../supervisor.ts';`,
      'supervisor.ts': `import { x } from './spawn/spawn.ts';\nimport { y } from './os/os.ts';`,
      'spawn/spawn.ts': `import { x } from '../errors.ts';\nimport { y } from '../os/os.ts';`,
      'options.ts': `import { x } from './spawn/spawn.ts';`,
      'os/os.ts': `import { x } from '../errors.ts';`,
      'errors.ts': '',
    });
    expect(findWrongArrows(graph)).toEqual([]);
    expect(findStrays(graph)).toEqual([]);
  });

  it('stations: a value of a later one', () => {
    const graph = sketch({
      'admission/pool.ts': `import { x } from '../spawn/handle.ts';\nimport { y } from '../termination/exit.ts';`,
      'spawn/handle.ts': `import type { X } from '../limits/idle.ts';\nimport { y } from '../admission/pool.ts';`,
      'ownership/sweep.ts': `import { x } from '../limits/idle.ts';`,
      'limits/idle.ts': '',
      'termination/exit.ts': `import { x } from '../limits/idle.ts';`,
    });
    expect(findLaterStations(graph)).toEqual([
      'admission/pool.ts -> spawn/handle.ts',
      'ownership/sweep.ts -> limits/idle.ts',
    ]);
  });

  it.each([
    [`import { spawn } from 'node:child_process';`, 'spawn/x.ts -> node:child_process'],
    [`import process from 'node:process';`, 'spawn/x.ts -> node:process'],
    [`const execa = require('execa');`, 'spawn/x.ts -> execa'],
    [`process.getBuiltinModule('node:child_process')`, 'spawn/x.ts -> node:child_process'],
    [`export const f = () => process.pid;`, 'spawn/x.ts uses the global process'],
    [`export const f = () => process?.env['A'];`, 'spawn/x.ts uses the global process'],
    [`const now = \`\${process.env['A']}\`;`, 'spawn/x.ts uses the global process'],
    [`const f = (process: P) => process.env;`, 'spawn/x.ts uses the global process'],
    [`globalThis.process.exit();`, 'spawn/x.ts uses the global process'],
    [`const at = Date.now();`, 'spawn/x.ts uses the clock'],
    [`setTimeout(() => {}, 5);`, 'spawn/x.ts uses the clock'],
  ])('system: %s', (code, violation) => {
    expect(findSystemAccess(sketch({ 'spawn/x.ts': code }))).toContain(violation);
    expect(findSystemAccess(sketch({ 'os/x.ts': code }))).toEqual([]);
  });

  it.each([
    `// process.pid, and Date.now()`,
    `import type { ChildProcess } from 'node:child_process';`,
    `/** Reads process.env. */`,
    `const message = 'ask process.env and setTimeout(f)';`,
    `const pattern = /process.env/;`,
    `const f = (process: Supervised): number => process.pid;`,
    `const f = ({ process, end }: Arm) => process.kill('SIGTERM');`,
    `this.process.kill(); record.process.pid; clock.setTimeout(1);`,
    `new Date(stamp).toISOString();`,
  ])('system: %s passes', (code) => {
    expect(findSystemAccess(sketch({ 'spawn/x.ts': code }))).toEqual([]);
  });

  it('deciding modules: node:*, themselves or by way of another', () => {
    const graph = sketch({
      'termination/ladder.ts': `import type { X } from 'node:stream';`,
      'spawn/arguments.ts': `import { read } from './files.ts';`,
      'spawn/files.ts': `import { readFileSync } from 'node:fs';`,
      'spawn/environment.ts': `import type { X } from './files.ts';\nimport { z } from 'zod';`,
    });
    expect(findImpureDeciders(graph)).toEqual([
      'termination/ladder.ts -> node:stream (type)',
      'spawn/arguments.ts reaches spawn/files.ts -> node:fs',
    ]);
  });

  it('cycles: of values, not of types', () => {
    const graph = sketch({
      'spawn/a.ts': `export { b } from './b.ts';`,
      'spawn/b.ts': `import * as c from './c.ts';`,
      'spawn/c.ts': `export const a = () => import('./a.ts');`,
      'spawn/self.ts': `import './self.ts';`,
      'os/x.ts': `import type { Y } from './y.ts';`,
      'os/y.ts': `import { x } from './x.ts';`,
    });
    expect(findCycles(graph)).toEqual([
      'spawn/a.ts -> spawn/b.ts -> spawn/c.ts -> spawn/a.ts',
      'spawn/self.ts -> spawn/self.ts',
    ]);
  });

  it('size: of what the main entry reaches, types included', () => {
    const graph = sketch({
      'index.ts': `export type { X } from './reports.ts';\n`,
      'reports.ts': `// why\nexport interface X {\n  a: 1;\n}\n\n`,
      'cli/cli.ts': 'export const unreached = 1;\n',
    });
    expect(measureCore(graph)).toEqual({ files: 2, lines: 4 });
    expect(findOversize(graph, { files: 2, lines: 4 })).toEqual([]);
    expect(findOversize(graph, { files: 1, lines: 3 })).toEqual([
      'the core has 2 files, over 1',
      'the core has 4 lines, over 3',
    ]);
  });

  it('long files: one over the limit, and an exception that is not needed', () => {
    const graph = sketch({ 'os/a.ts': 'a();\n\nb();\n// c\nc();\n', 'os/b.ts': 'a();\n' });
    expect(findLongFiles(graph, 2, [])).toEqual(['os/a.ts has 3 lines of code, over 2']);
    expect(findLongFiles(graph, 2, ['os/a.ts', 'os/b.ts'])).toEqual([
      'os/b.ts needs no exception any more',
    ]);
  });
});

describe('reading imports', () => {
  it.each([
    [`import a from 'x';`, 'value'],
    [`import { a, type B } from 'x';`, 'value'],
    [`import { type B } from 'x';`, 'value'],
    [`import a, { b } from "x";`, 'value'],
    [`import * as a from 'x';`, 'value'],
    [`import {\n  a,\n  b,\n} from 'x';`, 'value'],
    [`import 'x';`, 'value'],
    [`import type from 'x';`, 'value'],
    [`import data from 'x' with { type: 'json' };`, 'value'],
    [`export * from 'x';`, 'value'],
    [`export { a as b } from 'x';`, 'value'],
    [`const a = await import('x');`, 'value'],
    [`const a = () => import('x').then((m) => m.a);`, 'value'],
    [`const a = require('x').a;`, 'value'],
    [`import type { A } from 'x';`, 'type'],
    [`import type A from 'x';`, 'type'],
    [`import type * as A from 'x';`, 'type'],
    [`export type { A } from 'x';`, 'type'],
    [`export type * from 'x';`, 'type'],
    [`let a: import('x').A | undefined;`, 'type'],
    [`type A = typeof import('x');`, 'type'],
  ])('%s', (code, kind) => {
    expect(parseImports(code)).toEqual([{ kind, specifier: 'x' }]);
  });

  it.each([
    `// import a from 'x';`,
    `/*\nimport a from 'x';\n*/`,
    `const text = "import a from 'x'";`,
    `const text = \`import 'x'; \${1}\`;`,
    `export const from = 'x';`,
    `export default 'x';`,
    `const a = schema.import('x');`,
    `const p = /import 'x'/;`,
  ])('%s imports nothing', (code) => {
    expect(parseImports(code)).toEqual([]);
  });

  it('keeps offsets and line breaks, through templates and regular expressions', () => {
    const source = [
      'a(`x$' + '{b({ c: "}" })}y`); // z',
      'd = 1 / 2; /[/"]/g.test(e); f = "\\"";',
    ].join('\n');
    const masked = maskSource(source);
    expect(masked.split('\n')).toEqual([
      'a(`_$' + '{b({ c: "_" })}_`);     ',
      'd = 1 / 2; /____/g.test(e); f = "__";',
    ]);
    expect(masked).toHaveLength(source.length);
    expect(countCodeLines('/* a\n b */ c();\n\n// d\ne(`\nf\n`);\n')).toBe(4);
  });

  it('knows the layers and what is reached', () => {
    expect(layerOf('index.ts')).toBe('supervisor');
    expect(layerOf('errors.ts')).toBe('words');
    expect(layerOf('limits/idle.ts')).toBe('station');
    expect(layerOf('otel/otel.ts')).toBe('surface');
    expect(layerOf('os/os.ts')).toBe('os');
    expect(layerOf('lib/x.ts')).toBeUndefined();
    const graph = sketch({ 'index.ts': `import './errors.ts';`, 'errors.ts': '', 'events.ts': '' });
    expect([...reachableFrom(graph, 'index.ts')]).toEqual(['index.ts', 'errors.ts']);
    expect([...reachableFrom(graph, 'gone.ts')]).toEqual([]);
  });
});
