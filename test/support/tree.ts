import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const NOT_SOURCE = new Set(['node_modules', '.git', 'dist', 'coverage']);

/**
 * Copies the project's sources to `to`, with the same node_modules behind a link, so that a test
 * can build and change them while nobody's dist/ changes.
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
