// The process trees of a real agent, and the ways in which it ends: a matrix test takes one of each.
// Every process of a scenario carries its marker; seen from outside, on Linux.
import { fileURLToPath } from 'node:url';
import { type Options, type Query, query, type SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import type { FakeApi } from './fake-api.ts';
import { eventually, findByMarker, isAlive, type ProcessRow } from './process-table.ts';
import { agentBinary, agentOptions } from './real-agent.ts';
import { type Step, steer } from './steer.ts';

/** The environment variable that marks a scenario's processes. */
export const MARKER = 'AGENT_RIG_MARKER';

/** The ways in which an agent ends without a supervisor. */
export const ENDS = ['normal', 'abort', 'close', 'SIGTERM', 'SIGKILL'] as const;
export type End = (typeof ENDS)[number];

/** A kind of process tree, with the prompt and options that make the real agent start it. */
export interface Shape {
  readonly name: string;
  /** The first answers of the model. Then comes a text, behind the gate that the marker names. */
  readonly steps: readonly Step[];
  readonly options?: Partial<Options>;
  /**
   * `true` if the model is asked again while the tree lives; foreground Bash keeps the agent in its
   * tool.
   */
  readonly reachesGate: boolean;
  /** `true` if the agent exits after its last answer; it waits for its own Bash tasks. */
  readonly endsNormally: boolean;
  /** The ends after which a process of the tree is alive 10 s later without a supervisor. */
  readonly leaks: readonly End[];
  /** Returns `true` when the whole tree is up; `tree` is all marked processes but the agent. */
  isReady(tree: readonly ProcessRow[], agent: ProcessRow): boolean;
}

const MCP_SERVER = fileURLToPath(new URL('../test/fixtures/mcp-server.mjs', import.meta.url));

function withMcp(...args: readonly string[]): Pick<Shape, 'steps' | 'options'> {
  const server = { command: process.execPath, args: [MCP_SERVER, ...args], alwaysLoad: true };
  return {
    // The call proves that the agent has connected to the server.
    steps: [{ tools: [{ name: 'mcp__rig__ping' }] }],
    options: { mcpServers: { rig: server }, mcpServersDelivery: 'initialize' },
  };
}

function withBash(command: string, more: object = {}): Pick<Shape, 'steps'> {
  return { steps: [{ tools: [{ name: 'Bash', input: { command, ...more } }] }] };
}

const isMcp = (row: ProcessRow, ...args: readonly string[]) =>
  row.args.slice(1).join(' ') === [MCP_SERVER, ...args].join(' ');
const isSleep = (row: ProcessRow) => row.args.join(' ') === 'sleep 300';
/** A shell of the agent leads its own session, with its sleep in it. */
const isUnderShell = (row: ProcessRow, tree: readonly ProcessRow[]) =>
  isSleep(row) && tree.some((shell) => shell.pid === row.ppid && shell.sid === row.sid);
/** Its ancestors are dead: its parent is pid 1 or the nearest subreaper. */
const isOrphan = (row: ProcessRow, tree: readonly ProcessRow[], agent: ProcessRow) =>
  row.ppid !== agent.pid && !tree.some((parent) => parent.pid === row.ppid);

/** The agent refuses a sleep that stands alone or first, so the shell runs another command before. */
export const SHAPES: readonly Shape[] = [
  {
    name: 'plain',
    steps: [],
    reachesGate: true,
    endsNormally: true,
    leaks: [],
    isReady: () => true,
  },
  {
    name: 'polite MCP server',
    ...withMcp('polite'),
    reachesGate: true,
    endsNormally: true,
    leaks: [],
    isReady: (tree) => tree.some((row) => isMcp(row, 'polite')),
  },
  {
    name: 'stubborn MCP server with a child',
    ...withMcp('stubborn', '--child'),
    reachesGate: true,
    endsNormally: true,
    leaks: ENDS,
    isReady: (tree) =>
      tree.some((row) => isMcp(row, 'stubborn', '--child')) &&
      tree.some((row) => isMcp(row, 'child')),
  },
  {
    name: 'Bash in foreground',
    ...withBash('true && sleep 300'),
    reachesGate: false,
    endsNormally: false,
    leaks: ['SIGKILL'],
    isReady: (tree) => tree.some((row) => isUnderShell(row, tree)),
  },
  {
    name: 'Bash background task',
    ...withBash('true && sleep 300', { run_in_background: true }),
    reachesGate: true,
    endsNormally: false,
    leaks: ['SIGKILL'],
    isReady: (tree) => tree.some((row) => isUnderShell(row, tree)),
  },
  {
    name: 'cmd &',
    ...withBash('true; sleep 300 &'),
    reachesGate: true,
    endsNormally: true,
    leaks: ENDS,
    isReady: (tree, agent) =>
      tree.some((row) => isSleep(row) && isOrphan(row, tree, agent) && row.sid !== row.pid),
  },
  {
    name: 'setsid cmd &',
    ...withBash('setsid sleep 300 &'),
    reachesGate: true,
    endsNormally: true,
    leaks: ENDS,
    isReady: (tree, agent) =>
      tree.some((row) => isSleep(row) && isOrphan(row, tree, agent) && row.sid === row.pid),
  },
  {
    name: 'double fork',
    ...withBash("(setsid sh -c 'sleep 300 &' &)"),
    reachesGate: true,
    endsNormally: true,
    leaks: ENDS,
    isReady: (tree, agent) =>
      tree.some((row) => isSleep(row) && isOrphan(row, tree, agent) && row.sid !== row.pid),
  },
];

const MCP = withMcp('stubborn', '--child');
const BACKGROUND = withBash('true && sleep 300', { run_in_background: true });

/** An agent with both kinds of children: an MCP server that ignores its end, and a Bash task. */
export const BUSY: Shape = {
  name: 'stubborn MCP server with a child, and a Bash background task',
  ...MCP,
  steps: [...MCP.steps, ...BACKGROUND.steps],
  reachesGate: true,
  endsNormally: false,
  leaks: ENDS,
  isReady: (tree) =>
    tree.some((row) => isMcp(row, 'stubborn', '--child')) &&
    tree.some((row) => isMcp(row, 'child')) &&
    tree.some((row) => isUnderShell(row, tree)),
};

export interface ScenarioOptions {
  readonly api: FakeApi;
  /** A temporary folder of this scenario: the agent's home and working directory. */
  readonly home: string;
  /** The value of the marker, unique on this machine. It is also the name of the scenario's gate. */
  readonly marker: string;
  /** The `spawnClaudeCodeProcess` option; without it the SDK spawns the agent itself. */
  readonly spawnHook?: Options['spawnClaudeCodeProcess'];
  readonly abortController?: AbortController;
  /** Longest wait for the tree. @default 30_000 */
  readonly readyMs?: number;
}

export interface Scenario {
  readonly query: Query;
  /** The messages of the iterator so far. */
  readonly messages: readonly SDKMessage[];
  /** Resolves when the iterator ends, with the error if it threw. Never rejects. */
  readonly done: Promise<{ readonly error?: unknown }>;
  readonly agent: ProcessRow;
  readonly agentPid: number;
  /** All live processes of the scenario, the agent included. */
  processes(): ProcessRow[];
  /** Starts the end, and does not wait for it. */
  end(how: End): void;
}

/** Starts the real agent, and waits until the shape's whole tree is up. */
export async function startScenario(shape: Shape, options: ScenarioOptions): Promise<Scenario> {
  const { api, marker, abortController = new AbortController() } = options;
  const messages: SDKMessage[] = [];
  const { prompt, options: asked } = toQuery(shape, options);
  const hook = options.spawnHook && { spawnClaudeCodeProcess: options.spawnHook };
  const running = query({ prompt, options: { ...asked, ...hook, abortController } });
  let failure: { error?: unknown } | undefined;
  const done = collect(running, messages).then((outcome) => {
    failure = outcome;
    return outcome;
  });
  const processes = () => findByMarker(MARKER, marker);
  const look = () => {
    if (failure !== undefined) throw new Error('the query ended first', { cause: failure.error });
    const agent = standingAgent(shape, processes());
    return (!shape.reachesGate || api.waiting(marker) > 0) && agent;
  };
  const what = `the tree of "${shape.name}" stands`;
  const agent = await eventually(look, { timeoutMs: options.readyMs ?? 30_000, what });
  const end = (how: End): void => {
    if (how === 'normal') api.open(marker);
    else if (how === 'abort') abortController.abort();
    else if (how === 'close') running.close();
    else if (isAlive(agent)) process.kill(agent.pid, how);
  };
  return { query: running, messages, done, agent, agentPid: agent.pid, processes, end };
}

/** Makes the arguments of `query()` for this shape, as JSON for another process. */
export function toQuery(
  shape: Shape,
  { api, home, marker }: Pick<ScenarioOptions, 'api' | 'home' | 'marker'>,
) {
  return {
    prompt: steer([...shape.steps, { gate: marker, text: 'Done.' }]),
    options: {
      ...agentOptions(api.url, home, { [MARKER]: marker }),
      ...shape.options,
    } satisfies Options,
  };
}

/** Finds the agent, once the shape's tree is up. */
export function standingAgent(shape: Shape, rows: readonly ProcessRow[]): ProcessRow | undefined {
  const pids = new Set(rows.map((row) => row.pid));
  const binary = agentBinary();
  // A child before its exec shows the agent's arguments, but its parent is the agent.
  const agent = rows.find((row) => row.args[0] === binary && !pids.has(row.ppid));
  if (agent === undefined) return undefined;
  const tree = rows.filter((row) => row !== agent);
  return shape.isReady(tree, agent) ? agent : undefined;
}

async function collect(running: Query, into: SDKMessage[]): Promise<{ error?: unknown }> {
  try {
    for await (const message of running) into.push(message);
    return {};
  } catch (error) {
    return { error };
  }
}

/** Lists the scenario's processes that are alive after `withinMs`; returns early when none is. */
export async function survivors(scenario: Scenario, withinMs: number): Promise<ProcessRow[]> {
  const gone = () => scenario.processes().length === 0;
  await eventually(gone, { timeoutMs: withinMs }).catch(() => undefined);
  return scenario.processes();
}
