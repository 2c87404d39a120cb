import type { StatsFs } from 'node:fs';
import { createRequire } from 'node:module';

/**
 * Loads one of Node's own modules at its first use, synchronously.
 *
 * Some cost more than this whole package: `import 'node:util'` takes 5 ms, since an ES module's
 * names read all of its getters (measured). Bundlers leave this call alone. They would not follow a
 * `require` made from `import.meta.url`, and CommonJS has no such address.
 */
export const builtin = ((name: string) =>
  // Bun before 1.2.3 has no getBuiltinModule. Built-in modules are the same from any path.
  typeof process.getBuiltinModule === 'function'
    ? process.getBuiltinModule(name)
    : createRequire(process.execPath)(name)) as typeof process.getBuiltinModule;

/** An old Bun has none: an import of its name would fail, and with it that of the package. */
export const statfsSync = (path: string): StatsFs => builtin('node:fs').statfsSync(path);
