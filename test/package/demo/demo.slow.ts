// The demo as its reader runs it: a process of its own, in a built copy of the project.
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { npm } from '../../../kit/npm.ts';
import { endByIdentity, eventually, type ProcessRow, readRow } from '../../../kit/process-table.ts';
import { agentAvailable } from '../../../kit/real-agent.ts';
import { startProgram } from '../../../kit/start-program.ts';
import { copyTree } from '../../../kit/tree.ts';

const CAUSES = {
  plain: 'completed',
  'stubborn-mcp': 'completed',
  setsid: 'completed',
  hangs: 'aborted',
  killed: process.platform === 'win32' ? 'failed' : 'crashed',
  'polite-mcp': 'completed',
};

let folder = '';
let tree = '';
/** The demo's temporary folder: its agents' homes are in it. */
let temporary = '';

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'agent-supervisor-demo-')));
  tree = join(folder, 'tree');
  await copyTree(tree);
  await npm(['run', '--silent', 'build'], tree);
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

beforeEach(async () => {
  temporary = await mkdtemp(join(folder, 'tmp-'));
});

function startDemo(args: readonly string[] = [], script = 'demo.ts') {
  const command = [process.execPath, join(tree, 'examples/demo', script), ...args];
  const demo = startProgram(command, {
    env: { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary },
  });
  return {
    child: demo.child,
    output: () => demo.stdout + demo.stderr,
    ended: demo.end.then(({ code, signal }) => [code, signal]),
  };
}

/** What the summary says of each session: expected and got. */
function causesIn(output: string): Record<string, string[]> {
  const summary = output.slice(output.lastIndexOf('session         expected'));
  const rows = Object.keys(CAUSES).map((session) => {
    const row = summary.split('\n').find((line) => line.startsWith(`${session} `)) ?? '';
    return [session, row.split(/\s+/).slice(1, 3)] as const;
  });
  return Object.fromEntries(rows);
}

/** Who works in the demo's temporary folder, by its own look at /proc; a removed folder counts too. */
function processesInside(path: string): ProcessRow[] {
  const inside = (pid: string): boolean => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(path);
    } catch {
      return false;
    }
  };
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && inside(name));
  return pids.flatMap((pid) => readRow(Number(pid)) ?? []);
}

const onLinux = process.platform === 'linux';
const onPosix = process.platform !== 'win32';

describe('the demo', { timeout: 90_000 }, () => {
  it.each([
    [agentAvailable() ? 'the real agent' : 'what there is instead of the agent', []],
    ['scripted agents', ['--scripted']],
  ])('with %s: every cause as expected, nobody survives, nothing stays', async (_, args) => {
    const { output, ended } = startDemo(args);
    await expect(ended, 'code and signal').resolves.toEqual([0, null]);
    const expected = Object.entries(CAUSES).map(([session, cause]) => [session, [cause, cause]]);
    expect(causesIn(output())).toEqual(Object.fromEntries(expected));
    expect(output().split('\n')).toContain('survivors: 0');
    expect(output()).toMatch(/session +state +pid +age +memory +descendants/);
    expect(output()).toMatch(/^ {2}polite-mcp +queued$/m);
    expect(await readdir(temporary)).toEqual([]);
    if (onLinux) expect(processesInside(temporary)).toEqual([]);
  });

  it.runIf(onPosix)('ends cleanly on Ctrl-C', async () => {
    const { child, output, ended } = startDemo(['--scripted']);
    await eventually(() => /stubborn-mcp: left behind/.test(output()), { timeoutMs: 30_000 });
    child.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect(output().split('\n')).toContain('survivors: 0');
    expect(output()).toContain('interrupted by SIGINT');
    expect(await readdir(temporary)).toEqual([]);
    if (onLinux) expect(processesInside(temporary)).toEqual([]);
  });

  it.runIf(onLinux)('fails, and names who survives, where leftovers are not ended', async () => {
    const source = await readFile(join(tree, 'examples/demo/demo.ts'), 'utf8');
    const careless = source.replace('getSupervisor({', "getSupervisor({ leftovers: 'keep',");
    expect(careless).not.toBe(source);
    await writeFile(join(tree, 'examples/demo/careless.ts'), careless);
    const { output, ended } = startDemo(['--scripted'], 'careless.ts');
    const end = await ended;
    const survivors = processesInside(temporary);
    endByIdentity(survivors);
    expect(end).toEqual([1, null]);
    expect(output().split('\n')).toContain('survivors: 3');
    const alive = survivors.map(({ pid }) => pid).sort((a, b) => a - b);
    const named = /alive now: (.*)/.exec(output())?.[1]?.split(', ').map(Number);
    expect(named?.sort((a, b) => a - b)).toEqual(alive);
    await eventually(() => processesInside(temporary).length === 0);
  });
});
