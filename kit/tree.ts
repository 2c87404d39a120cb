import { cp, mkdir, mkdtemp, readdir, realpath, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { npm } from './npm.ts';

const ROOT = join(import.meta.dirname, '..');
const NOT_SOURCE = new Set(['node_modules', '.git', 'dist', 'coverage']);

/**
 * Copies the project's sources to `to`, with a link to the same node_modules. A test can build and
 * change the copy, and the project's own dist/ stays.
 */
export async function copyTree(to: string): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(ROOT)) {
    if (NOT_SOURCE.has(entry)) continue;
    await cp(join(ROOT, entry), join(to, entry), {
      recursive: true,
      filter: (source) => basename(source) !== 'node_modules',
    });
  }
  await symlink(join(ROOT, 'node_modules'), join(to, 'node_modules'), 'junction');
}

/** Builds a copy of the tree; returns its folder, which the test removes, and that of its examples. */
export async function builtExamples(): Promise<{ folder: string; examples: string }> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-examples-')));
  const tree = join(folder, 'tree');
  await copyTree(tree);
  await npm(['run', '--silent', 'build'], tree);
  return { folder, examples: join(tree, 'examples') };
}
