import { readFileSync } from 'node:fs';

/** The guardian's name among its own arguments, as a shell or not (os/guard.ts). */
export const GUARDIAN_NAME = 'agent-supervisor-guardian';
/**
 * Number of arguments that are searched for the name: later arguments of an agent may quote
 * anything.
 */
const ARGUMENTS = 6;

/**
 * True if a process has a guardian's arguments. Any process can have them, so this is a reason to
 * refuse and never one to signal.
 */
export function isGuardian(pid: number): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return args.slice(0, ARGUMENTS).includes(GUARDIAN_NAME);
  } catch {
    return false;
  }
}
