import { defineConfig } from 'vitest/config';

/** The tests that `npm run mutation` judges: of the modules that only decide, and without child processes. */
export default defineConfig({
  test: {
    include: [
      'test/admission/{conversation,pool,rate,restart}.test.ts',
      'test/ownership/{cookie,identity,record,pid-record,journal-reader}.test.ts',
      'test/termination/{exit,ladder,tree}.test.ts',
      'test/service/pace.test.ts',
      'test/spawn/{arguments,environment}.test.ts',
      'test/os/{parse,parse-listeners}.test.ts',
    ],
  },
});
