// What the README and the docs say is held against the files and the code they speak of.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DROPPED_WHEN_NESTED } from '../../../src/claude-code/session-marks.ts';
import { createSupervisor, ERROR_CODES, type ExitCause } from '../../../src/index.ts';
import { systemOs } from '../../../src/os/system.ts';
import { ALWAYS_DROPPED } from '../../../src/process/environment.ts';
import { resolveOptions } from '../../../src/supervisor/options.ts';

const ROOT = join(import.meta.dirname, '../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const README = read('README.md');
const PAGES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** All but the parts of the demo, which nobody copies. */
const EXAMPLES = readdirSync(join(ROOT, 'examples'), { recursive: true, encoding: 'utf8' })
  .map((name) => `examples/${name.replaceAll('\\', '/')}`)
  .filter((name) => name.endsWith('.ts') && !name.startsWith('examples/demo/'));

/** The blocks of code and configuration on a page, each with the file that the comment above it names. */
function codeBlocks(page: string): { source: string | undefined; code: string }[] {
  const blocks = page.matchAll(/(?:<!-- (\S+) -->\n)?```(?:ts|js|json|ini|dockerfile)\n(.*?)```/gs);
  return Array.from(blocks, ([, source, code = '']) => ({ source, code }));
}

/** The rows of the table under this heading line, cell by cell. */
function table(page: string, heading: string): string[][] {
  const lines = page
    .slice(page.indexOf(`${heading}\n`))
    .split('\n')
    .slice(2);
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(0, end).map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

const quoted = (cell = ''): string[] =>
  Array.from(cell.matchAll(/`([^`]+)`/g), ([, name = '']) => name);

describe('the README', () => {
  it('shows the two commands and the wrapped query on its first screen', () => {
    const firstScreen = README.split('\n').slice(0, 40);
    expect(firstScreen).toContain('npm ci && npm run demo');
    expect(firstScreen).toContain('npm ci && npm test');
    expect(firstScreen).toContain('<!-- examples/supervise-query.ts -->');
  });

  it('or a page beside it shows every example', () => {
    const shown = PAGES.flatMap((page) => codeBlocks(read(page)).map(({ source }) => source));
    expect(shown).toEqual(expect.arrayContaining(EXAMPLES));
  });

  it('and docs/examples.md names it', () => {
    const page = read('docs/examples.md');
    const named = Array.from(
      page.matchAll(/(?<=\]\(\.\.\/|<!-- )examples\/[\w./-]+/g),
      ([name]) => name,
    );
    expect([...new Set(named)].sort()).toEqual([...EXAMPLES].sort());
  });

  it.each(PAGES)('%s: code is a file that runs, to the letter', (path) => {
    for (const { source, code } of codeBlocks(read(path))) {
      expect(source, `the block that begins ${code.slice(0, 60)}`).toBeDefined();
      expect(code).toBe(read(source ?? ''));
    }
  });

  it.each(PAGES)('%s: every link leads somewhere', (path) => {
    const targets = Array.from(read(path).matchAll(/\]\(([^)]+)\)/g), ([, target = '']) => target);
    // What lies elsewhere is not asked: no test leaves this machine.
    const dead = targets.filter((target) => {
      if (target.startsWith('https://')) return false;
      const [file = '', anchor] = target.split('#');
      const page = file === '' ? path : join(dirname(path), file);
      if (!existsSync(join(ROOT, page))) return true;
      return anchor !== undefined && !anchorsOf(page).includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  it.each(PAGES)('%s: every npm script exists', (path) => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = Array.from(read(path).matchAll(/npm run ([\w:]+)/g), ([, name = '']) => name);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  it('states the defaults that the code has', () => {
    const options: unknown = resolveOptions({}, { ...systemOs(), environment: () => ({}) });
    const rows = table(README, '| option | default | |').filter(([, stated]) => stated !== '');
    expect(rows.length).toBeGreaterThan(8);
    for (const [option = '', stated] of rows) {
      const keys = quoted(option)[0]?.split('.') ?? [];
      const value = keys.reduce((at, key) => (at as Record<string, unknown>)[key], options);
      expect(String(value), option).toBe(stated);
    }
  });

  it('names calls that exist', () => {
    const supervisor = createSupervisor();
    const calls = table(README, '| call | does |').flatMap(([call]) => quoted(call));
    expect(calls.length).toBeGreaterThan(8);
    for (const call of calls) expect(supervisor).toHaveProperty(call.replace(/\(.*/, ''));
  });

  it('lists each cause of an end once', () => {
    const causes: Record<ExitCause, true> = {
      ...{ completed: true, failed: true, crashed: true, terminated: true, aborted: true },
      ...{ reaped: true, 'wall-clock': true, startup: true, idle: true, memory: true },
      ...{
        lifetime: true,
        budget: true,
        duplicate: true,
        shutdown: true,
        disowned: true,
        'not-started': true,
      },
    };
    const stated = table(README, '| cause | means |').flatMap(([cause]) => quoted(cause));
    expect(stated.sort()).toEqual(Object.keys(causes).sort());
  });

  it('lists the errors that the code throws, and no other', () => {
    const stated = table(README, '| code | when |').flatMap(([codes]) => quoted(codes));
    const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
    const code = files
      .filter((name) => name.endsWith('.ts') && name !== 'errors.ts')
      .map((name) => read(join('src', name)))
      .join('\n');
    expect(stated.sort()).toEqual(ERROR_CODES.filter((name) => code.includes(`'${name}'`)).sort());
  });
});

describe('docs/arguments-and-environment.md', () => {
  const page = read('docs/arguments-and-environment.md');

  it.each([
    ['| always | why |', ALWAYS_DROPPED],
    ['| only if the host runs inside Claude Code | why |', DROPPED_WHEN_NESTED],
  ])('%s names what the code drops', (heading, dropped) => {
    expect(
      table(page, heading)
        .flatMap(([names]) => quoted(names))
        .sort(),
    ).toEqual([...dropped].sort());
  });
});

function anchorsOf(path: string): string[] {
  const headings = read(path).matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, text = '']) => text.toLowerCase().replaceAll(' ', '-'));
}
