// The setup file in a project of its own: a test file that leaves something fails, and is named.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPECTED, makeSampleProject, type SampleProject } from '../../../kit/sample-project.ts';
import { CAN_WATCH } from '../../../kit/supervised.ts';

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

describe.runIf(CAN_WATCH)('the tests of docs/testing.md', () => {
  it.each([
    ['plugin', 4],
    ['search', 2],
  ])('pass: %s', async (name, count) => {
    const read = (file: string) =>
      readFileSync(join(import.meta.dirname, '../../../examples/testing', file), 'utf8');
    await project.write(`${name}.ts`, read(`${name}.ts`));
    const test = `${name}.test.ts`;
    const { passed, output } = await project.runFile('vitest', test, read(test));
    expect(passed, output).toBe(true);
    expect(output).toContain(`${count} passed`);
  });
});
