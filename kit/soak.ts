// A soak run in a process of its own.
import { join } from 'node:path';
import { startProgram } from './start-program.ts';

const SOAK = join(import.meta.dirname, '../soak/soak.ts');

export function startSoak(...args: readonly string[]) {
  const soak = startProgram([process.execPath, SOAK, ...args]);
  return {
    /** Its exit code. */
    exited: soak.end.then(({ code }) => code),
    get said() {
      return soak.stdout + soak.stderr;
    },
    /** The marker of all of its processes; `''` until it is printed. */
    get marker() {
      return /SOAK=(\S+)/.exec(soak.stdout + soak.stderr)?.[1] ?? '';
    },
    interrupt: () => soak.kill('SIGINT'),
  };
}
