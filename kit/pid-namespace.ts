// PID namespaces: if they can be made here, and if one may have few pids.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { CAN_COMPILE } from './compile.ts';

const IS_LINUX = process.platform === 'linux';

/** A command prefix that makes a host pid 1 of its own PID namespace, which dies with it. */
export const UNSHARE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;
export const CAN_UNSHARE =
  IS_LINUX && spawnSync(UNSHARE[0], [...UNSHARE.slice(1), 'true']).status === 0;
if (IS_LINUX && !CAN_UNSHARE) console.warn('left out: no PID namespaces can be made here');

/** Before Linux 6.14, pid_max is one value for the whole machine, which tests must not change. */
function hasOwnPidMax(): boolean {
  if (!IS_LINUX) return false;
  const release = readFileSync('/proc/sys/kernel/osrelease', 'latin1');
  const [major = 0, minor = 0] = release.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 14);
}

/** So few pids that each is reused many times a second. */
export const FEW_NUMBERS = 420;
export const CAN_MAKE_FEW_NUMBERS = CAN_COMPILE && CAN_UNSHARE && hasOwnPidMax();
if (CAN_COMPILE && CAN_UNSHARE && !hasOwnPidMax())
  console.warn('left out: pid_max belongs to the whole machine before Linux 6.14');
