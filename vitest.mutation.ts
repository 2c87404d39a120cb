import { defineConfig } from 'vitest/config';

/**
 * The tests that `npm run mutation` judges: those on the operating system in memory, which signal
 * nothing real. A mutant of what proves and signals must never meet a process.
 */
export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts'],
    // Reading a journal of 16 MiB takes longer with all the mutants in it.
    testTimeout: 60_000,
  },
});
