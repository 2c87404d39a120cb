import { readFileSync } from 'node:fs';

/** The name of the shell's script, or the file of the guardian that is none (os/guard.ts). */
const NAME = /^agent-supervisor-guardian$|[/\\]guardian-process\.[jt]s$/;
/** A guardian's name is one of its first arguments; those of an agent may quote anything later. */
const ARGUMENTS = 6;

/** Whether a process has a guardian's arguments; anybody can have, so it is a reason to refuse and never one to signal. */
export function isGuardian(pid: number): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return args.slice(0, ARGUMENTS).some((arg) => NAME.test(arg));
  } catch {
    return false;
  }
}
