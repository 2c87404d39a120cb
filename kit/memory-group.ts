// Control groups with little memory, in which the kernel kills what wants more. They take root.
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './process-table.ts';

const IS_V1 = existsSync('/sys/fs/cgroup/memory');
const PARENT = IS_V1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup';
const [LIMIT, NO_SWAP] = IS_V1
  ? (['memory.limit_in_bytes', 'memory.swappiness'] as const)
  : (['memory.max', 'memory.swap.max'] as const);

/** A control group with its own limit of memory. */
export class MemoryGroup {
  readonly #folder: string;

  constructor(name: string, limitBytes: number) {
    this.#folder = join(PARENT, `agent-supervisor-${process.pid}-${name}`);
    mkdirSync(this.#folder);
    writeFileSync(join(this.#folder, LIMIT), String(limitBytes));
    // A machine without swap has no such file.
    if (existsSync(join(this.#folder, NO_SWAP))) writeFileSync(join(this.#folder, NO_SWAP), '0');
  }

  /** A shell command that moves its shell into the group. */
  get join(): string {
    return `echo $$ > '${this.#folder}/cgroup.procs'`;
  }

  /** Removes it once its last process is gone. */
  async remove(): Promise<void> {
    await eventually(() => {
      try {
        rmdirSync(this.#folder);
      } catch {
        // A process that is dead stays in it for a moment.
      }
      return !existsSync(this.#folder);
    });
  }
}

/** `true` where a test can make such a group: as root, with control groups that can be written. */
export const CAN_LIMIT_MEMORY = await canLimitMemory();
if (!CAN_LIMIT_MEMORY) console.warn('left out: no control group with little memory can be made');

async function canLimitMemory(): Promise<boolean> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  try {
    await new MemoryGroup('probe', 50_000_000).remove();
    return true;
  } catch {
    return false;
  }
}
