// The setup file in a project of its own: who leaves something behind fails, and is named.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPECTED, makeSampleProject, type SampleProject } from '../support/sample-project.ts';
import { CAN_WATCH } from '../support/supervised.ts';

let project: SampleProject;
beforeAll(async () => {
  project = await makeSampleProject();
}, 120_000);
afterAll(() => project?.remove());

describe.runIf(CAN_WATCH).each(['vitest', 'node:test'] as const)('under %s', (runner) => {
  it.each(EXPECTED)('%s', async (sample, complaint) => {
    const { passed, output } = await project.run(runner, sample);
    expect(passed, output).toBe(complaint === undefined);
    if (complaint === undefined) return;
    expect(output).toMatch(complaint);
    expect(output).toMatch(new RegExp(`${sample}\\.test\\.mjs has left something behind`));
  });
});
