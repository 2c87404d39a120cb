import { defineConfig } from 'vitest/config';

/**
 * The tests that `npm run mutation` judges: those on the operating system in memory, which signal
 * nothing real. A mutant of what proves and signals must never meet a process.
 */
export default defineConfig({
  test: {
    include: [
      'test/admission/{budget,conversation,conversations,lease,pool,rate,restart,run,session}.test.ts',
      'test/limits/limits.test.ts',
      'test/ownership/{adopt,claim-files,claims,cookie,daily-ledger,dead-claims,estate}.test.ts',
      'test/ownership/{guardian,history,identity,journal-reader,kept,late-identity}.test.ts',
      'test/ownership/{ledger,pid-record,record}.test.ts',
      'test/termination/{exit,ladder,process-tree,shutdown,terminate,tree}.test.ts',
      'test/service/pace.test.ts',
      'test/spawn/{arguments,environment,frames,live,queued,stderr-tail}.test.ts',
      'test/supervisor/{channels,events,left-out}.test.ts',
      'test/os/{parse,parse-listeners}.test.ts',
    ],
    // Reading a journal of 16 MiB takes longer with all the mutants in it.
    testTimeout: 60_000,
  },
});
