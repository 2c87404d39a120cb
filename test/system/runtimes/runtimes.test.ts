import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { NO_RUNTIMES, RUNTIME_NAMES, type RuntimeName, runtime } from '../../../kit/runtimes.ts';

const VERSIONS: Readonly<Record<RuntimeName, string>> = {
  'bun-1.2.2': '1.2.2',
  'bun-current': '1.4.5',
  deno: 'deno 2.9.6',
  'node-20': 'v20.20.2',
  'node-22': 'v22.23.3',
  'node-22.12': 'v22.12.0',
  'node-26': 'v26.9.0',
};

// Two at once: the second waits for the first one's install instead of starting its own.
const [binaries] = await Promise.all([Promise.all(RUNTIME_NAMES.map(runtime)), runtime('node-22')]);

describe.skipIf(binaries[0] === undefined)(`runtimes (${NO_RUNTIMES})`, () => {
  it.each(RUNTIME_NAMES)('%s prints its version', (name) => {
    const binary = binaries[RUNTIME_NAMES.indexOf(name)];
    const version = execFileSync(binary ?? '', ['--version'], { encoding: 'utf8' });
    expect(version.split(/ \(|\n/)[0]).toBe(VERSIONS[name]);
  });
});
