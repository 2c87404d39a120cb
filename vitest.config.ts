import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The tests start hundreds of hosts, which would each compile the same sources: two thirds of their time.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/compiled');

/** Tests that run for minutes are named `*.full.ts` and belong to `npm run test:full` (`--mode full`). */
const FULL_MODE = 'full';

const WELL_COVERED = { lines: 95, branches: 90 };

export default defineConfig(({ mode }) => ({
  test: {
    include: mode === FULL_MODE ? ['test/**/*.{test,full}.ts'] : ['test/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'test/fixtures/**'],
    // Every file gets a process of its own: the tests look at the process table, and at their own
    // process's listeners and children.
    pool: 'forks',
    // On two cores: a good part of each is waiting for others to die.
    maxWorkers: 3,
    testTimeout: mode === FULL_MODE ? 600_000 : 60_000,
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
        'src/{admission,limits,ownership,spawn,termination}/**': WELL_COVERED,
        'src/os/{parse,parse-listeners}.ts': WELL_COVERED,
      },
    },
  },
}));
