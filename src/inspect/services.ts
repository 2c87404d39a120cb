import { join } from 'node:path';
import type { Os } from '../os/os.ts';
import { readServiceFile } from '../service/service-file.ts';
import { namesIn } from '../store/files.ts';
import type { DefinedService } from '../supervisor/internals.ts';
import type { PublicText } from './public-text.ts';
import type { ServiceHealth } from './report.ts';

const FILE = /^service-[\da-f]{32}\.json$/;

/** @internal The services that this host has defined, and those of which a host has written something down. */
export function servicesHealth(
  os: Os,
  stateDir: string,
  defined: ReadonlyMap<string, DefinedService>,
  publicText: PublicText,
): ServiceHealth[] {
  const written = namesIn(stateDir)
    .filter((name) => FILE.test(name))
    .flatMap((name) => readServiceFile(join(stateDir, name), os) ?? []);
  const byName = new Map(written.map((one) => [one.name, one]));
  const names = new Set([...defined.keys(), ...byName.keys()]);
  return [...names].sort().map((name) => {
    const { state = null, pid = null } = defined.get(name)?.service ?? {};
    const { failures = 0, openForMs = 0 } = byName.get(name) ?? {};
    return { name: publicText(name), state, pid: pid ?? null, failures, openForMs };
  });
}
