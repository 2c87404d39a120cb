// Only src/os touches the system and keeps time: Biome holds the globals, the arrows' test the imports.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const PLUGIN = 'kit/architecture/no-date-now.grit';

const REFUSED = [
  'export const pid = process.pid;',
  "export const f = () => process?.env['A'];",
  'setTimeout(() => {}, 5);',
  'setInterval(() => {}, 5);',
  'export const now = Date.now();',
  'export const now = new Date();',
  'export const now = performance.now();',
];

const ALLOWED = [
  '// process.pid, and Date.now()',
  "export const message = 'ask process.env and setTimeout(f)';",
  'export const f = (process: { pid: number }) => process.pid;',
  'export const f = (record: { process: { pid: number } }) => record.process.pid;',
  'export const f = (stamp: number) => new Date(stamp).toISOString();',
];

describe('outside of src/os', () => {
  const root = mkdtempSync(join(tmpdir(), 'agent-supervisor-lint-'));
  afterAll(() => rmSync(root, { recursive: true }));

  const { vcs: _, ...config } = JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8'));
  writeFileSync(join(root, 'biome.json'), JSON.stringify(config));
  cpSync(join(ROOT, PLUGIN), join(root, PLUGIN));
  for (const folder of ['process', 'os']) {
    mkdirSync(join(root, 'src', folder), { recursive: true });
    for (const [at, source] of [...REFUSED, ...ALLOWED].entries())
      writeFileSync(join(root, 'src', folder, `sample-${at}.ts`), `${source}\n`);
  }
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, 'node_modules/@biomejs/biome/bin/biome'), 'lint', '--colors=off', 'src'],
    { cwd: root, encoding: 'utf8', timeout: 60_000 },
  );
  const refused = new Set((stdout + stderr).match(/src\/\w+\/sample-\d+\.ts/g));

  it.each([...REFUSED.entries()])('refused: %i %s', (at) => {
    expect(refused).toContain(`src/process/sample-${at}.ts`);
    expect(refused).not.toContain(`src/os/sample-${at}.ts`);
  });

  it.each([...ALLOWED.entries()])('allowed: %i %s', (at) => {
    expect(refused).not.toContain(`src/process/sample-${REFUSED.length + at}.ts`);
  });
});
