// Prints the closing line of .ci/run, from the reports of vitest's JSON reporter, one for each lane:
//   node scripts/count-tests.mjs REPORT.json…
// Runs on any Node, since .ci/run starts it with the machine's own.
import { readFileSync } from 'node:fs';

const counts = process.argv.slice(2).map((path) => {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  // A file that did not load has no tests, and still failed.
  const brokenFiles = report.testResults.filter(
    (file) =>
      file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  ).length;
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles,
    skipped: report.numPendingTests + report.numTodoTests,
  };
});
const sum = (key) => counts.reduce((total, count) => total + count[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
