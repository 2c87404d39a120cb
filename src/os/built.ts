// The build replaces this file with constants (scripts/bundle.ts), so that a host can be one file.
// The sources read the project's own files.
import { readFileSync } from 'node:fs';

/** A third-party package of which parts are bundled into this one. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** This package's own version. */
export const packageVersion = (): string => read<BundledPackage>('package.json').version;

/** The third-party packages in the bundle; none in the sources, which find them in node_modules. */
export const bundledPackages = (): readonly BundledPackage[] => [];

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')) as T;
}
