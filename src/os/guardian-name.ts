import { readFileSync } from 'node:fs';

/** What the guardian is called among its own arguments, whether it is a shell or not (os/guard.ts). */
export const GUARDIAN_NAME = 'agent-supervisor-guardian';
/** A guardian's name is one of its first arguments; those of an agent may quote anything later. */
const ARGUMENTS = 6;

/** Whether a process has a guardian's arguments; anybody can have, so it is a reason to refuse and never one to signal. */
export function isGuardian(pid: number): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return args.slice(0, ARGUMENTS).includes(GUARDIAN_NAME);
  } catch {
    return false;
  }
}
