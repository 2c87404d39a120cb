// The children that the rows start, and how the rows find out, by themselves, that these are gone.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

/** The options with which the supervisor launches: its peers get the same. */
const EXECA_OPTIONS = {
  extendEnv: false,
  detached: true,
  stdin: 'pipe',
  stdout: 'pipe',
  stderr: 'pipe',
  buffer: false,
  reject: false,
  cleanup: false,
  forceKillAfterDelay: false,
  stripFinalNewline: false,
} as const;

export function spawnExeca(command: string, args: readonly string[], env = hostEnv()) {
  return execa(command, args, { ...EXECA_OPTIONS, env });
}

export function spawnBare(command: string, args: readonly string[], env = hostEnv()): ChildProcess {
  return spawn(command, args, { env, detached: true, stdio: 'pipe' });
}

/** The simplest helper that there can be: a shell that waits on a pipe which only this process holds. */
export function spawnGuardian(script: string): ChildProcess {
  return spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
}

function hostEnv(): Record<string, string> {
  return { ...process.env } as Record<string, string>;
}

/** Starts `count` idle children of one shell, and resolves when all of them run. */
export async function spawnIdle(count: number): Promise<ChildProcess> {
  const shell = spawnBare('/bin/sh', ['-c', idleScript(count)]);
  await once(shell.stdout as NodeJS.ReadableStream, 'data');
  return shell;
}

/** A script that starts `count` polite children, says so, and waits for them; they end by themselves in the end. */
export function idleScript(count: number): string {
  const start = `i=0; while [ $i -lt ${count} ]; do sleep 120 >/dev/null 2>&1 & i=$((i+1)); done`;
  return `${start}; echo ready; wait`;
}

/** A port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The process and its children, as the kernel lists them now. */
export function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return [pid, ...children.split(' ').filter(Boolean).map(Number)];
}

/** Resolves when none of these processes runs any more; a zombie is dead. */
export async function untilDead(pids: readonly number[]): Promise<void> {
  let running = [...pids];
  for (;;) {
    running = running.filter(runs);
    if (running.length === 0) return;
    await delay(1);
  }
}

function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !'ZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Ends a child that leads its own group, with its group. */
export async function endGroup(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  process.kill(-(child.pid as number), 'SIGKILL');
  await exited;
}

/** A state directory for one row; gone when the row is over. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'agent-supervisor-bench-'));
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 10 }),
  };
}
