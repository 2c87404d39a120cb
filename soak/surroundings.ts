// What this machine lets a soak do to its hosts' surroundings.
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { compile } from '../kit/compile.ts';
import { CAN_MAKE_FEW_NUMBERS } from '../kit/pid-namespace.ts';

export const IN_MOUNT_NAMESPACE = ['unshare', '--mount', '--map-root-user'] as const;

/** Whether a host may have a disk of its own here. */
export function canMountAt(folder: string): boolean {
  const [command, ...args] = IN_MOUNT_NAMESPACE;
  try {
    execFileSync(command, [...args, 'mount', '-t', 'tmpfs', 'soak', folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The program that makes daemons, if a host may live where numbers of processes are few. */
export function compiledMaker(folder: string): string | undefined {
  return CAN_MAKE_FEW_NUMBERS ? compile('daemons', folder) : undefined;
}

let users = 0;

/** Makes a folder for a user whom nobody else shares: a limit counts all processes of a user. */
export function ownFolder(folder: string): number {
  const user = 200_000 + process.pid * 10 + users++;
  mkdirSync(folder, 0o700);
  chownSync(folder, user, user);
  return user;
}

/** Starts what follows as an ordinary user with so many processes and threads. */
export function asUser(user: number, maxProcesses: number): string[] {
  return [
    ...['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'],
    ...['prlimit', `--nproc=${maxProcesses}:${maxProcesses}`],
  ];
}

/** Whether a host may be a user of its own here, and somebody may use up its processes. */
export function canLimitUsers(): boolean {
  const [command = '', ...args] = [...asUser(65_534, 100), 'perl', '-e', '1'];
  return spawnSync(command, args).status === 0;
}
