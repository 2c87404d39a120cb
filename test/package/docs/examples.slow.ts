// Each example runs as its reader would run it: a file, against the built package, by its name.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeApi } from '../../../kit/fake-api.ts';
import { AGENT_MISSING, agentAvailable, agentEnvironment } from '../../../kit/real-agent.ts';
import { NO_RUNTIMES, type RuntimeName, runtime } from '../../../kit/runtimes.ts';
import { builtExamples } from '../../../kit/tree.ts';

const run = promisify(execFile);

/** What the examples print that ask the API. */
const ANSWERS: Readonly<Record<string, string>> = {
  'query.ts': 'Hello from the fake API.\nsurvivors: 0\n',
  'supervise-query.ts': 'Hello from the fake API.\nsurvivors: 0\n',
};

/** What each of the others prints. */
const OUTPUTS: Readonly<Record<string, string>> = {
  'spawn.ts': `hello
{
  cause: 'failed',
  code: 3,
  stderrTail: 'a word on stderr\\n',
  leftovers: []
}
`,
  'streams.ts': 'a prompt\n',
  'lease.ts': 'draft\nreview\n',
  'pool.ts': `3 { cause: 'pause', name: undefined }
[ [ [ 'anthropic', 'repo:web' ], { cause: 'key', name: 'repo:web' } ] ]
0 undefined
`,
  'sessions.ts': `agent running 0
watcher running 0
watcher reaped it is morning
agent reaped it is morning
2 ended 0 survived
`,
  'daemon.ts': `1 started it
1 daemon
alive
version 2 instead
true
missing
`,
  'mcp.ts': `9 tools
{ entities: [], relations: [] }
2 servers
mcp-server reaped Knowledge Graph MCP Server running on stdio
mcp-server reaped Knowledge Graph MCP Server running on stdio
`,
  'cli-agent.ts': `> Done.
> Hm.
failed 3 No key.
wall-clock null Once more.
`,
  'doctor-report.ts': `in good health: true
tool nightly alive 60000
`,
  'restart.ts': `attempt 2 after failed, code 1
attempt 3 after failed, code 2
completed 2
`,
  'launch.ts': '1 launched by another\ncompleted\n',
  'fake-agent.ts': `{ type: 'text', text: 'You have asked: Clean up, please.' }
{
  type: 'tool_use',
  id: 'toolu_fake000002',
  name: 'Bash',
  input: { command: 'rm -r build' }
}
{ type: 'text', text: 'Then not.' }
success 0.02
deny
`,
  'channels.ts': 'tool completed\n',
  'cleanup.ts': 'terminated done is gone\n',
  'otel.ts': `agent_supervisor.admit in agent_supervisor.process
agent_supervisor.run in agent_supervisor.process
agent_supervisor.process in answer a question failed
answer a question
`,
  'doctor.ts': `without the token: 401
a report of version 1 with 0 processes
agent_supervisor_pool_slots 2
a script for the page: 200
`,
  'service.ts': `index starting
index ready
one process: true
index idle
index starting
index ready
another one: true
index closing
index closed
`,
  'shutdown.ts': "done\n[ 'completed' ] []\n",
  'errors.ts': `not-started COMMAND_NOT_FOUND\nPOOL_TIMEOUT { timeoutMs: 100, waitsFor: 'slot', reason: 'all 1 slots are held' }\n`,
  'helpers.ts': `[ '--tools=', '--verbose', '-p', '' ]
{
  env: { PATH: '/usr/bin' },
  dropped: [ 'CLAUDECODE', 'CLAUDE_CODE_SESSION_ID' ]
}
{ cause: 'terminated', intentional: true }
true false
`,
};

const BUNS: readonly RuntimeName[] = ['bun-current', 'bun-1.2.2'];
const buns = new Map(
  await Promise.all(BUNS.map(async (name) => [name, await runtime(name)] as const)),
);

let folder = '';
let examples = '';

beforeAll(async () => {
  ({ folder, examples } = await builtExamples());
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

/** Runs an example in a home of its own; the only API it can reach is at `apiUrl`. */
async function runExample(
  name: string,
  { apiUrl = 'http://127.0.0.1:9', program = process.execPath } = {},
): Promise<string> {
  const home = await mkdtemp(join(folder, 'home-'));
  const { stdout } = await run(program, [join(examples, name)], {
    cwd: home,
    env: agentEnvironment(apiUrl, home),
    timeout: 50_000,
  });
  return stdout;
}

describe('the examples', () => {
  it('are all run here', async () => {
    const files = (await readdir(examples)).filter((name) => name.endsWith('.ts'));
    expect(files.sort()).toEqual([...Object.keys(OUTPUTS), ...Object.keys(ANSWERS)].sort());
  });

  it.each(Object.keys(OUTPUTS))('%s prints what it says', async (name) => {
    expect(await runExample(name)).toBe(OUTPUTS[name]);
  });

  const title = agentAvailable() ? '%s answers' : AGENT_MISSING;
  it.runIf(agentAvailable()).each(Object.keys(ANSWERS))(title, async (name) => {
    const api = await startFakeApi();
    try {
      expect(await runExample(name, { apiUrl: api.url })).toBe(ANSWERS[name]);
    } finally {
      await api.close();
    }
  });

  describe.skipIf(buns.get('bun-current') === undefined)(`under Bun (${NO_RUNTIMES})`, () => {
    /** Bun breaks and quotes what it prints in its own way. */
    const bare = (text = ''): string => text.replaceAll('"', "'").replaceAll(/[\s,]/g, '');
    // With `-e`, the old one has its arguments elsewhere; execa fails there before it can tell why.
    const isOld = (bun: string, name: string): boolean =>
      bun === 'bun-1.2.2' && ['lease.ts', 'errors.ts'].includes(name);
    const runs = BUNS.flatMap((bun) => Object.keys(OUTPUTS).map((name) => [bun, name] as const));

    it.each(runs.filter(([bun, name]) => !isOld(bun, name)))('%s: %s', async (bun, name) => {
      const program = buns.get(bun);
      if (program === undefined) throw new Error(`${bun} is not installed`);
      expect(bare(await runExample(name, { program }))).toBe(bare(OUTPUTS[name]));
    });
  });
});
