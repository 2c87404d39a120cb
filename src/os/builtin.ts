import type { StatsFs } from 'node:fs';
import { createRequire } from 'node:module';

/**
 * Loads one of Node's own modules at its first use, synchronously.
 *
 * Some cost more than all of ours: `import 'node:util'` takes 5 ms, for the getters that an ES module's
 * names of it have to read (measured). Every bundler leaves this alone; it would not follow a `require`
 * that was made from `import.meta.url`, and in CommonJS there is no such address.
 */
export const builtin = ((name: string) =>
  // Bun before 1.2.3 has no getBuiltinModule. Node's own modules are the same from anywhere.
  typeof process.getBuiltinModule === 'function'
    ? process.getBuiltinModule(name)
    : createRequire(process.execPath)(name)) as typeof process.getBuiltinModule;

/** An old Bun has none: an import of its name would fail, and with it that of the package. */
export const statfsSync = (path: string): StatsFs => builtin('node:fs').statfsSync(path);
