import { readFileSync } from 'node:fs';
import { statfsSync } from './builtin.ts';
import type { PidSupply } from './os.ts';

const STAT = '/proc/stat';
const LOADAVG = '/proc/loadavg';
const PID_MAX = '/proc/sys/kernel/pid_max';

/** linux/magic.h; lxcfs mounts a FUSE over these files, which shows other numbers. */
const PROC_SUPER_MAGIC = 0x9fa0;

let isKernels: boolean | undefined;
let last: PidSupply | undefined;

/** Reads the kernel's pid counters; `undefined` where they cannot be read. */
export function readPidSupply(): PidSupply | undefined {
  try {
    isKernels ??= [STAT, LOADAVG, PID_MAX].every(
      (path) => statfsSync(path).type === PROC_SUPER_MAGIC,
    );
    const supply = isKernels ? parsePidSupply(read(STAT), read(LOADAVG), read(PID_MAX)) : undefined;
    last = supply ?? last;
    return supply;
  } catch {
    return undefined;
  }
}

/** The last reading, however old; a new one if there is none. */
export function recentPidSupply(): PidSupply | undefined {
  return last ?? readPidSupply();
}

/**
 * Combines `processes` of `/proc/stat`, tasks and last pid of `/proc/loadavg`, and `pid_max`. The
 * last pid is that of the reader's PID namespace. Returns `undefined` for any other text.
 */
export function parsePidSupply(
  stat: string,
  loadavg: string,
  pidMax: string,
): PidSupply | undefined {
  const forks = /^processes (\d{1,15})$/m.exec(stat)?.[1];
  const [, tasks, lastNumber] = /\d+\/(\d{1,10}) (\d{1,10})\s*$/.exec(loadavg) ?? [];
  const supply = {
    forks: Number(forks),
    last: Number(lastNumber),
    max: Number(pidMax),
    tasks: Number(tasks),
  };
  // gVisor writes zeros.
  return Object.values(supply).every((number) => Number.isSafeInteger(number) && number > 0)
    ? supply
    : undefined;
}

const read = (path: string): string => readFileSync(path, 'latin1');
