import type { Os } from '../os/os.ts';
import { filesIn } from '../store/files.ts';
import { readServiceFile } from '../store/service-file.ts';
import type { DefinedService } from '../supervisor/internals.ts';
import type { PublicText } from './public-text.ts';
import type { ServiceHealth } from './report.ts';

/** @internal Lists the services of this host, and those that any host has recorded. */
export function servicesHealth(
  os: Os,
  stateDir: string,
  defined: ReadonlyMap<string, DefinedService>,
  publicText: PublicText,
): ServiceHealth[] {
  const written = filesIn(stateDir, 'service').flatMap(
    ({ path }) => readServiceFile(path, os) ?? [],
  );
  const byName = new Map(written.map((one) => [one.name, one]));
  const names = new Set([...defined.keys(), ...byName.keys()]);
  return [...names].sort().map((name) => {
    const { state = null, pid = null } = defined.get(name)?.service ?? {};
    const { failures = 0, openForMs = 0 } = byName.get(name) ?? {};
    return { name: publicText(name), state, pid: pid ?? null, failures, openForMs };
  });
}
