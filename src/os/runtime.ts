/** The program that runs this host, to run a script of ours with. */
export function runtimePath(): string {
  return process.execPath;
}

/** The Electron program that runs this host, which is an application unless it is told to be Node. */
export function electronPath(): string | undefined {
  return process.versions['electron'] === undefined ? undefined : process.execPath;
}

/** Which test runner this process is of, as far as the process itself tells. */
export type TestRunner =
  | { readonly name: 'vitest' }
  /** `file`: what it runs; `undefined` in the process that only starts the others. */
  | { readonly name: 'node:test'; readonly file: string | undefined };

export function testRunner(): TestRunner {
  const { env, execArgv, argv } = process;
  if (env['VITEST'] !== undefined) return { name: 'vitest' };
  const isStarter = execArgv.includes('--test') && !execArgv.includes('--test-isolation=none');
  const runsTests = env['NODE_TEST_CONTEXT'] !== undefined || !isStarter;
  return { name: 'node:test', file: runsTests ? (argv[1] ?? '') : undefined };
}
