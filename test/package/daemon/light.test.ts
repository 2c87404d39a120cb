// What a launcher loads that finds its daemon ready: hooks run at every keystroke.
import { join } from 'node:path';
import { type OutputChunk, rolldown } from 'rolldown';
import { describe, expect, it } from 'vitest';

const ENTRY = join(import.meta.dirname, '../../../src/daemon/index.ts');

/** Loaded with the entry itself, and only when something of it is asked for. */
interface Loaded {
  readonly modules: readonly string[];
  readonly packages: readonly string[];
}

async function bundle(): Promise<{ light: Loaded; rest: Loaded }> {
  const built = await rolldown({ input: ENTRY, external: /^[^./]/, platform: 'node' });
  const { output } = await built.generate();
  await built.close();
  const chunks = output.filter((part): part is OutputChunk => part.type === 'chunk');
  const find = (name: string) => chunks.find(({ fileName }) => fileName === name);
  const closure = (start: readonly string[]): Loaded => {
    const names = new Set(start);
    for (const name of names) for (const next of find(name)?.imports ?? []) names.add(next);
    const loaded = [...names].flatMap((name) => find(name) ?? []);
    const modules = loaded.flatMap(({ moduleIds }) => moduleIds);
    return { modules, packages: [...names].filter((name) => find(name) === undefined) };
  };
  const entry = chunks.find(({ isEntry }) => isEntry);
  if (entry === undefined) throw new Error('there is no entry');
  return { light: closure([entry.fileName]), rest: closure(entry.dynamicImports) };
}

describe('the entry', async () => {
  const { light, rest } = await bundle();
  const inSource = ({ modules }: Loaded) =>
    modules.map((path) => path.replace(/^.*\/src\//, '')).sort();

  it('loads few of Node’s own modules, and of others zod alone', () => {
    const nodes = ['node:fs', 'node:module', 'node:os', 'node:path'];
    expect([...light.packages].sort()).toEqual([...nodes, 'zod/mini']);
  });

  it('loads no folder that starts or ends anything', () => {
    const modules = inSource(light);
    expect(modules.filter((path) => path.startsWith('daemon/'))).toEqual([
      'daemon/find.ts',
      'daemon/index.ts',
      'daemon/inspect.ts',
      'daemon/log-limit.ts',
    ]);
    // rolldown's own module begins with a NUL.
    const below = modules.filter((path) => !/^(?:os\/|daemon\/|\0)/.test(path));
    // Who is dead is judged here; nobody is signalled.
    expect(below).toEqual([
      'containment/failure-detector.ts',
      'containment/file-heartbeats.ts',
      'containment/heartbeat.ts',
      'containment/judge.ts',
      'containment/recorded-process.ts',
      'errors.ts',
      'ready/readiness.ts',
      'store/exclusive.ts',
      'store/files.ts',
      'store/heartbeat-file.ts',
      'store/layout.ts',
      'store/pid-file.ts',
      'store/pid-record.ts',
      'tree/identity.ts',
    ]);
  });

  it('would load with the rest what starts a daemon (the control)', () => {
    expect(inSource(rest)).toContain('daemon/ensure.ts');
  });
});
