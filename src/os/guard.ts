import { createRequire } from 'node:module';
import { GUARDIAN_SCRIPT } from './guardian-script.ts';
import type { Guard, GuardRequest } from './os.ts';

const require = createRequire(import.meta.url);

/** Starts the guardian as a POSIX shell on a pipe: under 4 MB, and it forks nothing while it waits. */
export function guardByShell({ owner, politeMs, forcedMs }: GuardRequest): Guard {
  // Loaded at the first start, as everything is that only some hosts need.
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  const times = [politeMs, forcedMs].map((ms) => String(Math.ceil(ms)));
  const child = spawn(
    '/bin/sh',
    ['-c', GUARDIAN_SCRIPT, 'agent-supervisor-guardian', owner, ...times],
    {
      // A session of its own: no signal to the host's terminal or group reaches it.
      detached: true,
      cwd: '/',
      // No cookie, or it would find itself.
      env: { LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/bin` },
      stdio: ['pipe', 'pipe', 'ignore'],
    },
  );
  const { stdin, stdout } = child;
  // Its death is told by 'exit'; what is written to it after that is lost and not missed.
  stdin.on('error', () => undefined);
  const ready = new Promise<void>((resolve, reject) => {
    stdout.once('data', () => {
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
  (stdin as typeof stdin & { unref?(): void }).unref?.();
  return {
    pid: child.pid,
    ready,
    write: (line) => void stdin.write(`${line}\n`),
    onExit: (listener) => void child.once('exit', listener),
  };
}
