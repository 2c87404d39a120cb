// npm run audit: asks the registry about exactly what is bundled (sbom.cdx.json). `npm audit --omit=dev`
// would ask about nothing: an installed package has no dependencies.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { components } = JSON.parse(readFileSync('sbom.cdx.json', 'utf8')) as {
  components: readonly {
    readonly group?: string;
    readonly name: string;
    readonly version: string;
  }[];
};
const packages = components.map(({ group, name, version }) => ({
  name: group === undefined ? name : `${group}/${name}`,
  version,
}));

const folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-audit-'));
try {
  const own = { name: 'bundled', version: '1.0.0' };
  const dependencies = Object.fromEntries(packages.map(({ name, version }) => [name, version]));
  // A lock of one level: nothing that a package merely could bring along is in it.
  const locked = packages.map(({ name, version }) => [`node_modules/${name}`, { version }]);
  const lock = {
    ...own,
    lockfileVersion: 3,
    requires: true,
    packages: { '': { ...own, dependencies }, ...Object.fromEntries(locked) },
  };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...own, dependencies }));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock));
  console.log(`${packages.length} packages: ${Object.keys(dependencies).join(', ')}`);
  const { status } = spawnSync('npm', ['audit', '--package-lock-only'], {
    cwd: folder,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
