/** What `process.getBuiltinModule` is called in Bun before 1.2.3, which has none. */
interface OldBun {
  readonly mainModule?: { readonly require?: (name: string) => unknown };
}

/**
 * Loads one of Node's own modules at its first use, synchronously.
 *
 * Some cost more than all of ours: `import 'node:util'` takes 5 ms, for the getters that an ES module's
 * names of it have to read (measured).
 *
 * Every bundler leaves this alone. It would not follow a `require` that was made from `import.meta.url`,
 * and in CommonJS there is no such address.
 */
export const builtin = ((name: string) =>
  typeof process.getBuiltinModule === 'function'
    ? process.getBuiltinModule(name)
    : (process as OldBun).mainModule?.require?.(name)) as typeof process.getBuiltinModule;
