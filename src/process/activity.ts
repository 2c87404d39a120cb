import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { AgentOutput } from '../claude-code/agent-output.ts';
import { type UsageLimit, UsageLimitReader } from '../claude-code/usage-limit.ts';
import type { StreamActivity } from '../policy/limits/limit.ts';
import type { ProcessLimits } from '../policy/limits/limits.ts';

const encoder = new TextEncoder();

/** The listeners for what a process's streams show. */
export interface StreamListeners {
  /** Only for an agent: called with the agent's own session id. */
  readonly onSessionId: ((id: string) => void) | undefined;
  /** Only for an agent, where its usage limit pauses the pool. */
  readonly onUsageLimit: ((limit: UsageLimit) => void) | undefined;
  /** Called at the first output, as the limit `startupMs` understands it. */
  readonly onOutput: (() => void) | undefined;
}

/** Counts the bytes in a process's streams, if a limit or a listener needs it. */
export function watchStreams(
  child: Pick<ChildProcess, 'stdin' | 'stdout' | 'stderr'>,
  { startupMs, idleMs }: Pick<ProcessLimits, 'startupMs' | 'idleMs'>,
  { onSessionId, onUsageLimit, onOutput }: StreamListeners,
): StreamActivity | undefined {
  const isWatched = onSessionId !== undefined || onOutput !== undefined;
  if (!isWatched && startupMs === null && idleMs === null) return undefined;
  const agent = onSessionId && new AgentOutput(onSessionId, idleMs !== null);
  const activity = { stdin: 0, stdout: 0, stderr: 0, agent };
  const isOutput = (name: string) =>
    name === 'stdout' || (name === 'stderr' && agent === undefined);
  const count = (name: 'stdin' | 'stdout' | 'stderr') => (bytes: Uint8Array) => {
    if (activity[name] === 0 && isOutput(name)) onOutput?.();
    activity[name] += bytes.length;
  };
  if (child.stdin) watchWrites(child.stdin, count('stdin'));
  if (child.stdout) watchOutput(child.stdout, count('stdout'));
  if (child.stderr) watchOutput(child.stderr, count('stderr'));
  if (child.stdout && agent) watchOutput(child.stdout, (bytes) => agent.push(bytes));
  if (child.stdout && agent && onUsageLimit) {
    const reader = new UsageLimitReader(onUsageLimit);
    watchOutput(child.stdout, (bytes) => reader.push(bytes));
  }
  return activity;
}

/**
 * Observes the data that arrives in a stream without consuming any of it.
 *
 * A `'data'` listener would take data that arrives before the caller reads. Another stream in between would
 * halve the throughput.
 */
function watchOutput(stream: Readable, see: (bytes: Uint8Array) => void): void {
  const push = stream.push;
  stream.push = (chunk: Uint8Array | string | null, encoding) => {
    if (chunk !== null) see(bytesOf(chunk));
    return push.call(stream, chunk, encoding);
  };
}

/** Observes the data written to a stream. (Node's own counter would do; Bun has none.) */
function watchWrites(stream: Writable, see: (bytes: Uint8Array) => void): void {
  for (const method of ['write', 'end'] as const) {
    const original = stream[method] as (...args: unknown[]) => never;
    stream[method] = (...args: unknown[]) => {
      const [chunk] = args;
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) see(bytesOf(chunk));
      return original.apply(stream, args);
    };
  }
}

/** Encodes text chunks: Bun 1.2.2 delivers strings. */
function bytesOf(chunk: Uint8Array | string): Uint8Array {
  return typeof chunk === 'string' ? encoder.encode(chunk) : chunk;
}
