// A user's project that tests a host with the testing tools, under one of three runners.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npm } from './npm.ts';
import { TOOLS } from './tools.ts';
import { copyTree } from './tree.ts';

const ROOT = join(import.meta.dirname, '..');

export type Runner = 'vitest' | 'jest' | 'node:test';

/** The first lines of a test file, for each runner. */
const HEADS: Readonly<Record<Runner, string>> = {
  vitest: "import { afterAll, expect, test } from 'vitest';",
  jest: '',
  'node:test': "import { after as afterAll, test } from 'node:test';",
};

const START = `
import { createSupervisor } from 'agent-supervisor';
import { misbehave } from 'agent-supervisor/testing';
const supervisor = createSupervisor({ stateDir: process.env.SAMPLE_STATE + '/' + process.pid });
`;
const SETSID = "['-c', 'setsid sleep 60 & echo ready; wait']";

/** Test files, some of which leave a process or a request. */
export const SAMPLES = {
  clean: `
test('starts one', () => supervisor.spawn(misbehave.ignoresEof()).started);
afterAll(() => supervisor.stop());`,
  plain: `
test('starts one', () => supervisor.spawn(misbehave.ignoresEof()).started);`,
  setsid: `
test('starts one', async () => {
  const child = supervisor.spawn({ command: 'sh', args: ${SETSID} });
  await new Promise((resolve) => child.stdout.once('data', resolve));
});`,
  queued: `
test('asks for two, and there is one slot', async () => {
  await Promise.all([supervisor.acquire(), supervisor.acquire()]);
  supervisor.spawn(misbehave.ignoresEof());
});`,
  kept: `
test('starts one that may live on', async () => {
  const program = misbehave.ignoresEof({ liveMs: 2000 });
  await supervisor.spawn({ ...program, kind: 'tool', outlivesHost: true }).started;
});`,
} as const;

export type Sample = keyof typeof SAMPLES;

/** The message of the setup file for each sample; `undefined` for a clean one. */
export const EXPECTED: readonly (readonly [Sample, RegExp | undefined])[] = [
  ['clean', undefined],
  ['kept', undefined],
  ['plain', /1 live process and 0 queued requests.*pid \d+ node/s],
  ['setsid', /[23] live processes.*pid \d+ sleep/s],
  ['queued', /0 live processes and 1 queued request/],
];

export interface Outcome {
  readonly passed: boolean;
  readonly output: string;
  readonly durationMs: number;
}

export interface SampleProject {
  run(runner: Runner, sample: Sample): Promise<Outcome>;
  write(name: string, code: string): Promise<void>;
  /** Writes a file into the project, and runs it. */
  runFile(runner: Runner, name: string, code: string): Promise<Outcome>;
  remove(): Promise<void>;
}

/** Makes a project beside a built copy of the package. Jest has to be installed: `tool('jest')`. */
export async function makeSampleProject(): Promise<SampleProject> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-sample-')));
  const [tree, project] = [join(folder, 'tree'), join(folder, 'project')];
  await copyTree(tree);
  await npm(['run', '--silent', 'build'], tree);
  await mkdir(join(project, 'node_modules'), { recursive: true });
  await writeFile(join(project, 'package.json'), JSON.stringify(MANIFEST));
  await writeFile(join(project, 'vitest.config.mjs'), VITEST_CONFIG);
  await symlink(tree, join(project, 'node_modules/agent-supervisor'), 'junction');
  for (const name of ['vitest', '@anthropic-ai'])
    await symlink(
      join(ROOT, 'node_modules', name),
      join(project, 'node_modules', name),
      'junction',
    );
  const write = (name: string, code: string) => writeFile(join(project, name), code);
  const runFile: SampleProject['runFile'] = async (runner, name, code) => {
    await write(name, code);
    return runCommand(project, COMMANDS[runner](name));
  };
  return {
    write,
    runFile,
    run: (runner, sample) =>
      runFile(runner, `${sample}.test.mjs`, `${HEADS[runner]}${START}${SAMPLES[sample]}\n`),
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}

const SETUP = 'agent-supervisor/testing/setup';
const MANIFEST = {
  name: 'sample',
  type: 'module',
  jest: { setupFilesAfterEnv: [SETUP], testMatch: ['**/*.test.mjs'], transform: {} },
};
const VITEST_CONFIG = `export default { test: { include: ['*.test.*'], setupFiles: ['${SETUP}'] } };\n`;

const COMMANDS: Readonly<Record<Runner, (name: string) => string[]>> = {
  vitest: (name) => [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', name],
  jest: (name) => ['--experimental-vm-modules', join(TOOLS, 'node_modules/jest/bin/jest.js'), name],
  'node:test': (name) => ['--import', SETUP, '--test', name],
};

function runCommand(project: string, args: readonly string[]): Promise<Outcome> {
  const { VITEST: _1, NODE_TEST_CONTEXT: _2, VITEST_WORKER_ID: _3, ...env } = process.env;
  const startedMs = performance.now();
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      args,
      { cwd: project, env: { ...env, SAMPLE_STATE: join(project, 'state') }, timeout: 60_000 },
      (error, stdout, stderr) =>
        resolve({
          passed: error === null,
          output: `${stdout}${stderr}`,
          durationMs: performance.now() - startedMs,
        }),
    );
  });
}
