import { readFileSync } from 'node:fs';

let version: string | undefined;

/** This package's own version; `unknown` in a host that is one file. */
export function packageVersion(): string {
  version ??= read();
  return version;
}

function read(): string {
  try {
    // The sources and the bundles of the entries lie equally deep.
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
  } catch {
    return 'unknown';
  }
}
