import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

interface LockedPackage {
  readonly license?: string;
  readonly dev?: boolean;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
type Lock = Readonly<Record<string, LockedPackage>>;

const ROOT = join(import.meta.dirname, '../..');

function readLock(path: string): Lock {
  const text = readFileSync(join(ROOT, path), 'utf8');
  return (JSON.parse(text) as { packages: Lock }).packages;
}

/** Names of optional packages (the binaries of each platform) that the lock leaves out. */
function findMissingPlatforms(lock: Lock): string[] {
  const names = new Set(Object.keys(lock).map((path) => path.split('node_modules/').at(-1)));
  return Object.values(lock)
    .flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}))
    .filter((name) => !names.has(name));
}

/** Packages that would be taken from a fixed address, or from anywhere without a checksum. */
function findUnsafe(lock: Lock): string[] {
  return Object.entries(lock)
    .filter(([path]) => path !== '')
    .filter(([, entry]) => entry.resolved !== undefined || entry.integrity === undefined)
    .map(([path]) => path);
}

const LOCKS = [
  '',
  'kit/bundlers/',
  'kit/launchers/',
  'kit/runtimes/',
  'kit/runtimes/windows/',
  'kit/tools/',
].map((folder) => `${folder}package-lock.json`);

describe.each(LOCKS)('%s', (path) => {
  const lock = readLock(path);

  it('names no registry, and a checksum for every package', () => {
    expect(findUnsafe(lock)).toEqual([]);
  });

  // npm leaves out of the lock what it did not find, without a word; `npm ci` on another platform
  // then misses its binary. A newer version of a tool can lack the packages of some platforms.
  it('holds the binaries of every platform', () => {
    expect(findMissingPlatforms(lock)).toEqual([]);
  });
});

it('sees a lock that lacks a platform, names a registry or has no checksum', () => {
  const lock: Lock = {
    '': {},
    'node_modules/tool': {
      integrity: 'sha512-x',
      optionalDependencies: { 'tool-linux': '1', 'tool-darwin': '1' },
    },
    'node_modules/tool-linux': { integrity: 'sha512-x', resolved: 'https://registry/x.tgz' },
    'node_modules/a/node_modules/b': {},
  };
  expect(findMissingPlatforms(lock)).toEqual(['tool-darwin']);
  expect(findUnsafe(lock)).toEqual(['node_modules/tool-linux', 'node_modules/a/node_modules/b']);
});

/** What may be used in whatever embeds us, with a notice at most. */
const PERMISSIVE: ReadonlySet<unknown> = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
]);

describe('licences', () => {
  const lock = readLock('package-lock.json');

  /** A package of the lock, and all that it needs. */
  function closure(name: string, seen = new Set<string>()): Set<string> {
    if (seen.has(name)) return seen;
    seen.add(name);
    for (const needed of Object.keys(lock[`node_modules/${name}`]?.dependencies ?? {}))
      closure(needed, seen);
    return seen;
  }

  it('of what may be in the bundle ask for a notice at most', () => {
    const bundled = ['execa', 'pidusage', 'tree-kill', 'zod'].flatMap((name) => [...closure(name)]);
    expect(bundled.length).toBeGreaterThan(10);
    const licenses = bundled.map((name) => [name, lock[`node_modules/${name}`]?.license]);
    expect(licenses.filter(([, license]) => !PERMISSIVE.has(license))).toEqual([]);
  });

  it('of what it is made with are known', () => {
    const unknown = Object.entries(readLock('package-lock.json')).filter(
      ([path, { license }]) => path !== '' && license === undefined,
    );
    expect(unknown.map(([path]) => path)).toEqual([]);
  });
});
