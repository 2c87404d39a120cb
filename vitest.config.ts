import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { buildSources } from './kit/build-sources.ts';

// The tests start hundreds of hosts, which would each compile the same sources: two thirds of their time.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/compiled');

// Coverage counts what runs in the sources themselves.
if (!process.argv.some((argument) => argument.startsWith('--coverage'))) await buildSources();

/** The folders of test/, each a project of its own: `--project unit` (CONTRIBUTING.md). */
const LANES = ['unit', 'system', 'agent', 'package', 'hosts'];

/**
 * What each `--mode` runs. Tests that take long are named `*.slow.ts`, and belong to every push;
 * tests that run for minutes are named `*.full.ts`, and belong to a release.
 */
const SUFFIXES: Readonly<Record<string, string>> = {
  slow: 'slow',
  lane: '{test,slow}',
  full: '{test,slow,full}',
};

const TIMEOUTS_MS: Readonly<Record<string, number>> = {
  slow: 180_000,
  lane: 180_000,
  full: 600_000,
};

const WELL_COVERED = { lines: 95, branches: 90 };

export default defineConfig(({ mode }) => ({
  test: {
    projects: LANES.map((name) => ({
      extends: true as const,
      test: {
        name,
        include: [`test/${name}/**/*.${SUFFIXES[mode] ?? 'test'}.ts`],
        // What is in memory alone can share a process: a new one for each file is a third of the time.
        isolate: name !== 'unit',
      },
    })),
    // Every file gets a process of its own: the tests look at the process table, and at their own
    // process's listeners and children.
    pool: 'forks',
    // On two cores: a good part of each is waiting for others to die.
    maxWorkers: 3,
    testTimeout: TIMEOUTS_MS[mode] ?? 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    retry: 0,
    passWithNoTests: false,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text', 'html'],
      // Hosts, guardians and launchers that end by themselves count; one that is SIGKILLed tells nothing.
      autoAttachSubprocess: true,
      // Not for what only other systems can run.
      thresholds: {
        'src/{tree,store,claude-code,policy,containment,process}/**': WELL_COVERED,
        'src/os/{parse,parse-listeners}.ts': WELL_COVERED,
      },
    },
  },
}));
