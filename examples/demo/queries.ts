// The six queries of the demo: what each agent does, what the demo does to it, and how it must end.
import { fileURLToPath } from 'node:url';
import type { Options } from '@anthropic-ai/claude-agent-sdk';
import type { ExitCause, ProcessInspection } from 'agent-supervisor';
import type { Step } from '../../kit/steer.ts';

export interface DemoQuery {
  /** The session's id, and its name in the table. */
  readonly name: string;
  /** What the fake model answers, one step after the other. */
  readonly steps: readonly Step[];
  readonly options?: Partial<Options>;
  readonly expected: ExitCause;
  /** What the demo does to the agent, as soon as `when` says so. */
  readonly deed?: {
    readonly kind: 'abort' | 'SIGKILL';
    when(seen: ProcessInspection): boolean;
  };
}

const MCP_SERVER = fileURLToPath(new URL('../../test/fixtures/mcp-server.mjs', import.meta.url));

function withMcp(...args: readonly string[]): Partial<Options> {
  const rig = { command: process.execPath, args: [MCP_SERVER, ...args], alwaysLoad: true };
  return { mcpServers: { rig }, mcpServersDelivery: 'initialize' };
}

const bash = (command: string): Step => ({ tools: [{ name: 'Bash', input: { command } }] });
const callMcp: Step = { tools: [{ name: 'mcp__rig__ping' }] };
/** Slow enough to be seen in the table. */
const say = (text: string): Step => ({ text, chunks: 8, chunkMs: 150 });

/** Only Linux has the command; elsewhere a subshell leaves its job behind all the same. */
const LEAVE_BEHIND = process.platform === 'linux' ? 'setsid sleep 300 &' : '(sleep 300 &)';
/** Windows has no signals: TerminateProcess leaves exit code 1. */
const KILLED: ExitCause = process.platform === 'win32' ? 'failed' : 'crashed';

export const QUERIES: readonly DemoQuery[] = [
  {
    name: 'plain',
    // Answers and ends.
    steps: [say('Hello from the fake API, in a few pieces.')],
    expected: 'completed',
  },
  {
    name: 'stubborn-mcp',
    // Its MCP server, and a child of that, ignore SIGTERM and the end of stdin.
    steps: [callMcp, say('My server will not end by itself.')],
    options: withMcp('stubborn', '--child'),
    expected: 'completed',
  },
  {
    name: 'setsid',
    // Starts something through Bash that leaves its session, and ends.
    steps: [bash(LEAVE_BEHIND), say('I left something behind.')],
    expected: 'completed',
  },
  {
    name: 'hangs',
    // Its model never answers; the host aborts the query.
    steps: [{ hang: true }],
    expected: 'aborted',
    deed: { kind: 'abort', when: ({ ageMs }) => ageMs > 4_000 },
  },
  {
    name: 'killed',
    // Is SIGKILLed while its Bash runs.
    steps: [bash('true && sleep 300')],
    expected: KILLED,
    deed: {
      kind: 'SIGKILL',
      when: ({ ageMs, descendants }) => ageMs > 3_000 && (descendants.length > 0 || ageMs > 15_000),
    },
  },
  {
    name: 'polite-mcp',
    // Calls a tool of an MCP server that ends when told.
    steps: [callMcp, say('The tool said pong.')],
    options: withMcp('polite'),
    expected: 'completed',
  },
];
