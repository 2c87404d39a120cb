// The setup file under the real jest: who leaves something behind fails, is named, and holds nobody up.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPECTED, makeSampleProject, type SampleProject } from '../../kit/sample-project.ts';
import { CAN_WATCH } from '../../kit/supervised.ts';
import { tool } from '../../kit/tools.ts';

await tool('jest');
let project: SampleProject;
beforeAll(async () => {
  project = await makeSampleProject();
}, 120_000);
afterAll(() => project?.remove());

describe.runIf(CAN_WATCH)('under jest', { timeout: 120_000 }, () => {
  it.each(EXPECTED)('%s', async (sample, complaint) => {
    const { passed, output } = await project.run('jest', sample);
    expect(passed, output).toBe(complaint === undefined);
    // Jest says so when it still waits a second after the last test.
    expect(output).not.toContain('did not exit');
    if (complaint === undefined) return;
    expect(output).toMatch(complaint);
    expect(output).toContain(`${sample}.test.mjs has left something behind`);
  });

  it('(control) a timer that is left holds it up', async () => {
    const code = "test('leaves a timer', () => void setTimeout(() => {}, 3000));";
    const { passed, output } = await project.runFile('jest', 'timer.test.mjs', code);
    expect(passed, output).toBe(true);
    expect(output).toContain('did not exit');
  });
});
