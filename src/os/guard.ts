import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { GUARDIAN_SCRIPT } from './guardian-script.ts';
import type { Guard, GuardRequest } from './os.ts';

const require = createRequire(import.meta.url);

/** Starts the guardian that this system can run. */
export function startGuard(request: GuardRequest): Guard {
  const hasShell = process.platform !== 'win32' && existsSync('/bin/sh');
  return hasShell ? guardByShell(request) : guardByNode(request);
}

/** Starts the guardian as a POSIX shell on a pipe: under 4 MB, and it forks nothing while it waits. */
export function guardByShell({ owner, ...times }: GuardRequest): Guard {
  const args = ['-c', GUARDIAN_SCRIPT, 'agent-supervisor-guardian', owner, ...wholeMs(times)];
  return guardBy('/bin/sh', args, {
    LC_ALL: 'C',
    PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/bin`,
  });
}

/** Starts the guardian as a process of this host's own runtime on a pipe, where there is no POSIX shell. */
export function guardByNode({ owner, ...times }: GuardRequest): Guard {
  // The sources run as they are; the bundle has the script beside it (scripts/bundle.ts).
  const script = import.meta.filename.endsWith('.ts')
    ? join(import.meta.dirname, '../ownership/guardian-process.ts')
    : join(import.meta.dirname, 'guardian-process.js');
  // In a host that is one file, the runtime is that host: it would be started once more.
  if (!existsSync(script)) throw new Error(`there is no ${script}`);
  const args = [script, owner, ...wholeMs(times), String(process.pid)];
  return guardBy(process.execPath, args, {
    PATH: process.env['PATH'],
    // Electron would show a window, and is Node with this.
    ELECTRON_RUN_AS_NODE: '1',
  });
}

function wholeMs({ politeMs, forcedMs }: Omit<GuardRequest, 'owner'>): string[] {
  return [politeMs, forcedMs].map((ms) => String(Math.ceil(ms)));
}

/** `env` is all that the guardian inherits: no cookie, or it would find itself. */
function guardBy(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Guard {
  // Loaded at the first start, as everything is that only some hosts need.
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  const child = spawn(command, args, {
    // A session of its own: no signal to the host's terminal or group reaches it, nor does the end
    // of the job in which Windows keeps a host's other children.
    detached: true,
    windowsHide: true,
    cwd: '/',
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // There are neither where descriptors lack, only an error.
  const { stdin, stdout }: ChildProcess = child;
  // Its death is told by 'exit'; what is written to it after that is lost and not missed.
  stdin?.on('error', () => undefined);
  const ready = new Promise<void>((resolve, reject) => {
    stdout?.once('data', () => {
      stdout.destroy();
      resolve();
    });
    child
      .once('error', reject)
      .once('exit', () => reject(new Error('the guardian exited at once')));
  });
  // It must keep no host alive, and its pipe must not either.
  child.unref();
  // Bun has no such method, and a pipe keeps nothing alive there.
  (stdin as { unref?(): void } | null)?.unref?.();
  return {
    pid: child.pid,
    ready,
    write: (line) => void stdin?.write(`${line}\n`),
    onExit: (listener) => void child.once('exit', listener),
  };
}
