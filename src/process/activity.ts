import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { Frames } from '../claude-code/agent-output.ts';
import type { Passage } from './supervision.ts';

const encoder = new TextEncoder();

/** How much has gone through a process's streams, in bytes. */
export interface Traffic {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
  /** What its stdout tells, where that is an agent's. */
  readonly frames: Frames | undefined;
}

/** Counts what is said, if a limit asks for it or frames tell what it means. */
export function trafficOf(
  { dialect, request }: Pick<Passage, 'dialect' | 'request'>,
  child: Pick<ChildProcess, 'stdin' | 'stdout' | 'stderr'>,
  onSessionId: (id: string) => void,
): Traffic | undefined {
  const { startupMs, idleMs } = request.limits;
  const isWanted = dialect.isClaude || startupMs !== null || idleMs !== null;
  if (!isWanted || request.outlivesHost) return undefined;
  const frames = dialect.isClaude ? new Frames(onSessionId, idleMs !== null) : undefined;
  const traffic = { stdin: 0, stdout: 0, stderr: 0, frames };
  const count = (name: 'stdin' | 'stdout' | 'stderr') => (bytes: Uint8Array) => {
    traffic[name] += bytes.length;
  };
  if (child.stdin) watchWrites(child.stdin, count('stdin'));
  if (child.stdout) watchOutput(child.stdout, count('stdout'));
  if (child.stderr) watchOutput(child.stderr, count('stderr'));
  if (child.stdout && frames) watchOutput(child.stdout, (bytes) => frames.push(bytes));
  return traffic;
}

/**
 * Sees what comes into a stream, and takes nothing of it: a listener would take from its reader what
 * comes before he reads, and another stream in between would halve the throughput.
 */
function watchOutput(stream: Readable, see: (bytes: Uint8Array) => void): void {
  const push = stream.push;
  stream.push = (chunk: Uint8Array | string | null, encoding) => {
    if (chunk !== null) see(bytesOf(chunk));
    return push.call(stream, chunk, encoding);
  };
}

/** Sees what is written into a stream. (Its own counter would do in Node; Bun has none.) */
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

/** Bun 1.2.2 hands out text. */
function bytesOf(chunk: Uint8Array | string): Uint8Array {
  return typeof chunk === 'string' ? encoder.encode(chunk) : chunk;
}
