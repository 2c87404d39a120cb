// What is measured is what users run: the compiled package, its types taken from the sources.
const at = (path: string) => new URL(`../dist/${path}`, import.meta.url).href;

/** Where the main entry is, for processes of their own. */
export const MAIN_ENTRY = at('index.js');

export const { createSupervisor } = (await import(MAIN_ENTRY)) as typeof import('../src/index.ts');

export const { Journal } = (await import(
  at('ownership/journal.js')
)) as typeof import('../src/ownership/journal.ts');

export const { systemOs } = (await import(
  at('os/system.js')
)) as typeof import('../src/os/system.ts');
