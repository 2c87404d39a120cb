// Control groups with little memory, in which the kernel kills what wants more. They take root.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './process-table.ts';

const IS_V1 = existsSync('/sys/fs/cgroup/memory');
const PARENT = IS_V1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup';
const [LIMIT, NO_SWAP] = IS_V1
  ? (['memory.limit_in_bytes', 'memory.swappiness'] as const)
  : (['memory.max', 'memory.swap.max'] as const);

function enter(folder: string): void {
  writeFileSync(join(folder, 'cgroup.procs'), String(process.pid));
}

function ownFolder(): string {
  const groups = readFileSync('/proc/self/cgroup', 'utf8');
  const path = (IS_V1 ? /^\d+:memory:(.*)$/m : /^0::(.*)$/m).exec(groups)?.[1];
  if (path === undefined) throw new Error(`no control group for memory in ${groups}`);
  return join(PARENT, path);
}

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

  /** Runs `start` while this process is in the group, so that its children begin there. */
  async within<T>(start: () => Promise<T>): Promise<T> {
    const home = ownFolder();
    enter(this.#folder);
    try {
      return await start();
    } finally {
      enter(home);
    }
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
    const group = new MemoryGroup('probe', 50_000_000);
    await group.within(async () => undefined);
    await group.remove();
    return true;
  } catch {
    return false;
  }
}
