import type { ChildProcess } from 'node:child_process';
import { Frames } from './frames.ts';
import type { Handle } from './handle.ts';
import type { Passage } from './passage.ts';

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
  { handle, dialect, request }: Passage,
  child: ChildProcess,
  onSessionId: (id: string) => void,
): Traffic | undefined {
  const { startupMs, idleMs } = request.limits;
  const isWanted = dialect.isClaude || startupMs !== null || idleMs !== null;
  if (!isWanted || child.stdout === null) return undefined;
  return countTraffic(handle, child, dialect.isClaude ? new Frames(onSessionId) : undefined);
}

/**
 * Counts what goes through the streams of a child that the caller is not joined to yet.
 *
 * The caller gets streams of our own, as in a queued start: a listener on the child's would take from
 * it what comes before it reads. (The child's own counters would do in Node; Bun has none.)
 */
function countTraffic(
  handle: Handle,
  { stdout, stderr }: Pick<ChildProcess, 'stdout' | 'stderr'>,
  frames: Frames | undefined,
): Traffic {
  handle.queue();
  const traffic = { stdin: 0, stdout: 0, stderr: 0, frames };
  const count = (name: 'stdin' | 'stdout' | 'stderr', chunk: Uint8Array | string): void => {
    // Bun 1.2.2 hands out text.
    const bytes = typeof chunk === 'string' ? encoder.encode(chunk) : chunk;
    traffic[name] += bytes.length;
    if (name === 'stdout') frames?.push(bytes);
  };
  handle.stdin.on('data', (chunk) => count('stdin', chunk));
  stdout?.on('data', (chunk) => count('stdout', chunk));
  stderr?.on('data', (chunk) => count('stderr', chunk));
  return traffic;
}
