// A host that does what it is told, one JSON command a line, and tells what happened, one JSON
// message a line. It ends with its stdin, or after its life.
//   host.ts <setup: JSON>
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { type DaemonOptions, ensureDaemon } from '../src/daemon/index.ts';
import type { SpawnRequest, SupervisedProcess, SupervisorOptions } from '../src/index.ts';
import type { Os } from '../src/os/os.ts';
import { systemOs } from '../src/os/system.ts';
import { defineService, type ServiceDefinition } from '../src/service/index.ts';
import { Supervisor } from '../src/supervisor/supervisor.ts';
import type { Protection } from './controls.ts';
import { TAG } from './tag.ts';
import { unprotected } from './unprotected.ts';

export interface HostSetup {
  readonly options: SupervisorOptions & { readonly stateDir: string };
  readonly lifeMs: number;
  /** What it is run without, as a control of the witness. */
  readonly without?: Protection | undefined;
}

export type HostCommand =
  | { readonly do: 'spawn'; readonly request: SpawnRequest }
  | { readonly do: 'run'; readonly name: string; readonly request: SpawnRequest }
  | { readonly do: 'service'; readonly definition: ServiceDefinition }
  | { readonly do: 'daemon'; readonly options: DaemonOptions }
  | { readonly do: 'terminate'; readonly chance: number }
  | { readonly do: 'reap'; readonly sessionId: string }
  | { readonly do: 'fill' | 'read-only' | 'exhaust'; readonly forMs: number }
  | { readonly do: 'jump'; readonly byMs: number }
  | { readonly do: 'stop' };

export type HostMessage =
  | { readonly event: 'ready'; readonly instance: string | undefined }
  | { readonly event: 'daemon'; readonly pid: number }
  | { readonly event: 'stopped'; readonly survivors: number }
  | { readonly event: 'ended'; readonly cause: string }
  | { readonly event: 'warning'; readonly code: string; readonly message: string }
  | { readonly event: 'refused'; readonly code: string };

const { options, lifeMs, without } = JSON.parse(process.argv[2] ?? '{}') as HostSetup;
const tell = (message: HostMessage) => void process.stdout.write(`${JSON.stringify(message)}\n`);
const refused = (error: unknown) =>
  tell({ event: 'refused', code: String((error as { code?: unknown }).code ?? error) });

let clockOffsetMs = 0;
const supervisor = new Supervisor(options, unprotected(soakOs(), without));
supervisor.on('warning', ({ code, message }) => tell({ event: 'warning', code, message }));
const live = new Set<SupervisedProcess>();
setTimeout(() => process.exit(9), lifeMs);
// It takes its time: a tool that sends SIGINT first, to it and all below it, waits in vain.
process.on('SIGINT', () => undefined);
createInterface({ input: process.stdin })
  .on('line', (line) => {
    Promise.resolve(JSON.parse(line)).then(obey).catch(refused);
  })
  .on('close', () => process.exit(0));
await supervisor.start().catch(refused);
tell({ event: 'ready', instance: supervisor.internals.snapshot().instance });

async function obey(command: HostCommand): Promise<void> {
  switch (command.do) {
    case 'spawn':
      return watch(supervisor.spawn(command.request));
    case 'run':
      return run(command.name, command.request);
    case 'service': {
      const { definition } = command;
      const service = defineService(supervisor, { ...definition, ready: { stdout: /^ready/ } });
      return watch(await service.ensure());
    }
    case 'daemon':
      return tell({ event: 'daemon', pid: (await ensureDaemon(command.options)).pid });
    case 'terminate': {
      const chosen = [...live][Math.floor(command.chance * live.size)];
      return void (await chosen?.terminate());
    }
    case 'reap':
      return void (await supervisor.reapSession(command.sessionId));
    case 'fill':
      return fillDisk(command.forMs);
    case 'read-only':
      return makeReadOnly(command.forMs);
    case 'exhaust':
      return exhaustDescriptors(command.forMs);
    case 'jump':
      clockOffsetMs += command.byMs;
      return;
    case 'stop': {
      const { survivors } = await supervisor.stop();
      tell({ event: 'stopped', survivors: survivors.length });
      process.stdout.end(() => process.exit(0));
    }
  }
}

function watch(handle: SupervisedProcess): void {
  if (live.has(handle)) return;
  live.add(handle);
  handle.on('error', refused);
  void handle.exited.then(({ cause }) => {
    live.delete(handle);
    tell({ event: 'ended', cause });
  });
}

function run(name: string, request: SpawnRequest): void {
  const policy = { name, backoffMs: 200, maxBackoffMs: 500 };
  void supervisor.run(policy, ({ attempt, signal }) => {
    // Each attempt is a tree of its own.
    const env = { ...request.env, [TAG]: `${request.env?.[TAG]}.${attempt}` };
    const handle = supervisor.spawn({ ...request, env, signal });
    watch(handle);
    return handle;
  });
}

/** Leaves no block free for a while, and no room in any file's last block. */
async function fillDisk(forMs: number): Promise<void> {
  const filler = join(options.stateDir, '../filler');
  const fd = openSync(filler, 'a');
  try {
    for (const size of [4096, 1]) for (;;) if (writeSync(fd, Buffer.alloc(size)) < size) break;
  } catch {
    // ENOSPC is what it is for.
  } finally {
    closeSync(fd);
  }
  await delay(forMs);
  rmSync(filler, { force: true });
}

/** Lays a read-only view over the state directory for a while: no new file can be made in it. */
async function makeReadOnly(forMs: number): Promise<void> {
  const { stateDir } = options;
  execFileSync('mount', ['--bind', stateDir, stateDir]);
  try {
    execFileSync('mount', ['-o', 'remount,bind,ro', stateDir]);
    await delay(forMs);
  } finally {
    execFileSync('umount', ['--lazy', stateDir]);
  }
}

/** Opens files until there is no descriptor left, for a while. */
async function exhaustDescriptors(forMs: number): Promise<void> {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    // EMFILE is what it is for.
  }
  await delay(forMs);
  for (const fd of taken) closeSync(fd);
}

/** The system with a wall clock that can be set. */
function soakOs(): Os {
  const os = systemOs();
  return { ...os, clock: { ...os.clock, now: () => os.clock.now() + clockOffsetMs } };
}
