// Hosts in processes of their own, under Node and under Bun, which up to 1.2.2 loses empty arguments.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import { runHost } from '../../kit/host.ts';
import { agentBinary, agentEnvironment } from '../../kit/real-agent.ts';
import { runtime } from '../../kit/runtimes.ts';
import { MARKER } from '../../kit/scenarios.ts';
import { LINGER_MS } from '../../kit/start-program.ts';
import { steer } from '../../kit/steer.ts';
import { CAN_WATCH_AGENTS, it } from '../../kit/supervised.ts';

const PRINT_ARGUMENTS = join(import.meta.dirname, '../fixtures/print-arguments.mjs');

const RUNTIMES = [
  { name: 'this Node', runtime: process.execPath, lossy: false },
  { name: 'the current Bun', runtime: await runtime('bun-current'), lossy: false },
  { name: 'Bun 1.2.2', runtime: await runtime('bun-1.2.2'), lossy: true },
].filter((entry) => entry.runtime !== undefined);

/** As SDK 0.1.77 and 0.2.50 write `settingSources: []` and `tools: []`. */
const OLD_ARGS = ['--setting-sources', '', '--permission-mode', 'plan', '--tools', ''];
const STREAM_ARGS = [
  ...['--output-format', 'stream-json', '--input-format', 'stream-json'],
  '--verbose',
];

describe.runIf(CAN_WATCH_AGENTS).for(RUNTIMES)('a host under $name', ({ runtime, lossy }) => {
  it.for([
    { args: [], lines: ['success', 'completed'], title: 'exits by itself after its query' },
    {
      args: ['500'],
      lines: ['queued', 'success', 'completed'],
      title: 'stays alive while its query is queued, and exits after it',
    },
  ])('$title', async ({ args, lines }, { api, home, marker }) => {
    const env = { ...agentEnvironment(api.url, home), [MARKER]: marker };
    const prompt = steer([{ text: 'Done.' }]);
    const all = [join(home, 'state'), prompt, ...args];
    const end = await runHost('query.ts', { args: all, env, cwd: home, runtime });
    expect(end).toMatchObject({ code: 0, lines });
    expect(end.lingeredMs).toBeLessThan(LINGER_MS);
  });

  it("gives the agent the meaning of an old SDK's empty values", async ({ api, home, marker }) => {
    const env = { ...agentEnvironment(api.url, home), [MARKER]: marker };
    const agent = agentBinary() ?? '';
    const hookRan = await plantHook(home);
    const input = userMessage(steer([{ text: 'Done.' }]));
    const args = ['hook', join(home, 'state'), input, agent, ...STREAM_ARGS, ...OLD_ARGS];

    const { lines } = await runHost('spawn.ts', { args, env, cwd: home, runtime });
    // As the hook starts it: without Claude Code's own daemon, of which the agent would tell.
    const plain = { ...env, CLAUDE_CODE_DISABLE_AGENT_VIEW: '1' };
    expect(initOf(lines)).toEqual(initOf(await ask([...STREAM_ARGS, ...OLD_ARGS], input, plain)));
    expect(initOf(lines)).toMatchObject({ tools: [], permissionMode: 'plan' });
    expect(existsSync(hookRan)).toBe(false);

    // The negative control: without the two pairs the same home runs the hook and has all tools.
    const init = initOf(await ask([...STREAM_ARGS, '--permission-mode', 'plan'], input, env));
    expect(init['tools']).not.toEqual([]);
    expect(existsSync(hookRan)).toBe(true);
  });

  it(`loses no empty argument, a plain spawn ${lossy ? 'all' : 'none'}`, async ({
    home,
    marker,
  }) => {
    const args = ['', 'a b', '--flag', '', '$HOME', '"', '', '--', ''];
    const env = { PATH: process.env['PATH'] ?? '', [MARKER]: marker };
    const command = [process.execPath, PRINT_ARGUMENTS, ...args];
    const received = async (script: string, ...first: string[]) => {
      const { lines } = await runHost(script, { args: [...first, ...command], env, runtime });
      return JSON.parse(lines[0] ?? '');
    };
    expect(await received('spawn.ts', 'spawn', join(home, 'state'), '')).toEqual(args);
    expect(await received('plain-spawn.ts')).toEqual(lossy ? args.filter(Boolean) : args);
  });
});

/** Plants a hook in the user's settings; returns the file that it makes when it runs. */
async function plantHook(home: string): Promise<string> {
  const file = join(home, 'hook-ran');
  const hooks = { SessionStart: [{ hooks: [{ type: 'command', command: `touch '${file}'` }] }] };
  await mkdir(join(home, '.claude'));
  await writeFile(join(home, '.claude/settings.json'), JSON.stringify({ hooks }));
  return file;
}

/** Starts the agent plainly, as Node passes arguments. */
async function ask(
  args: readonly string[],
  input: string,
  env: Readonly<Record<string, string>>,
): Promise<string[]> {
  const agent = spawn(agentBinary() ?? '', args, { env, cwd: env['HOME'], stdio: 'pipe' });
  agent.stderr.resume();
  agent.stdin.end(input);
  const [output] = await Promise.all([text(agent.stdout), once(agent, 'close')]);
  return output.split('\n');
}

function userMessage(content: string): string {
  return `${JSON.stringify({ type: 'user', message: { role: 'user', content } })}\n`;
}

/** What the agent says of itself in its first message, without what differs from run to run. */
function initOf(lines: readonly string[]): Record<string, unknown> {
  const messages = lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  const init = messages.find(({ type, subtype }) => type === 'system' && subtype === 'init');
  const { session_id, uuid, messaging_socket_path, ...rest } = init ?? {};
  return rest;
}
