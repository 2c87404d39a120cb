// Prints the closing line of .ci/run, from the report of vitest's JSON reporter:
//   node scripts/count-tests.mjs REPORT.json
// Runs on any Node, since .ci/run starts it with the machine's own.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// A file that did not load has no tests, and still failed.
const brokenFiles = report.testResults.filter(
  (file) =>
    file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
).length;
const failed = report.numFailedTests + brokenFiles;
const skipped = report.numPendingTests + report.numTodoTests;
console.log(`${report.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
