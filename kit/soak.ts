// A soak as a process of its own.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const SOAK = join(import.meta.dirname, '../soak/soak.ts');

export function startSoak(...args: readonly string[]) {
  const child = spawn(process.execPath, [SOAK, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  return {
    /** Its exit code. */
    exited: new Promise<number | null>((resolve) => child.once('close', resolve)),
    get said() {
      return said;
    },
    /** What all of its processes carry; `''` until it has said so. */
    get marker() {
      return /SOAK=(\S+)/.exec(said)?.[1] ?? '';
    },
    interrupt: () => void child.kill('SIGINT'),
  };
}
