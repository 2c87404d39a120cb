// What the build writes down (scripts/bundle.ts), for a host that is one file: the sources read it of
// the project's own files.
import { readFileSync } from 'node:fs';

/** A package of which parts are in this one. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** This package's own version. */
export const packageVersion = (): string => read<BundledPackage>('package.json').version;

/** What is in this package of others; nothing in the sources, which find them in node_modules. */
export const bundledPackages = (): readonly BundledPackage[] => [];

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')) as T;
}
