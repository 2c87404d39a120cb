import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { npm } from './npm.ts';
import { copyTree } from './tree.ts';

const FIXTURES = join(import.meta.dirname, '../test/fixtures');

export interface Tarball {
  readonly path: string;
  readonly bytes: number;
  readonly files: readonly string[];
}

/** Packs a copy of the tree into `folder`, so that the tree's own dist/ does not change. */
export async function pack(folder: string): Promise<Tarball> {
  const tree = join(folder, 'tree');
  await copyTree(tree);
  const { stdout } = await npm(['pack', '--json', '--pack-destination', folder], tree);
  const [packed] = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as {
    filename: string;
    size: number;
    files: { path: string }[];
  }[];
  if (packed === undefined) throw new Error(`npm pack told of no tarball: ${stdout}`);
  return {
    path: join(folder, packed.filename),
    bytes: packed.size,
    files: packed.files.map(({ path }) => path),
  };
}

/**
 * Makes a user's project from a folder of test/fixtures, with the packed package and `others`
 * installed.
 */
export async function installPacked(
  { path }: Tarball,
  fixture: string,
  project: string,
  others: readonly string[] = [],
): Promise<void> {
  await cp(join(FIXTURES, fixture), project, { recursive: true });
  await npm(['install', path, ...others, '--prefer-offline', '--no-audit', '--no-fund'], project);
}
