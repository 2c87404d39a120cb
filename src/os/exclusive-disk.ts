import { lstatSync } from 'node:fs';
import { uptime } from 'node:os';
import { statfsSync } from './builtin.ts';

/**
 * File systems that one kernel alone can have mounted (linux/magic.h): ext2 to ext4, XFS, Btrfs, F2FS,
 * ZFS. What another kernel has written there, it wrote before this one mounted it.
 */
const ONE_KERNEL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1,
]);

/** Whether a file was last written before this kernel's boot, on a disk that no other kernel can write now. */
export function isOfEarlierBoot(path: string): boolean {
  try {
    const bootedAtMs = Date.now() - uptime() * 1000;
    return isOneKernels(path) && lstatSync(path).mtimeMs < bootedAtMs;
  } catch {
    return false;
  }
}

function isOneKernels(path: string): boolean {
  const { type } = statfsSync(path);
  // macOS numbers its file systems itself, and boots from a disk of its own.
  return process.platform === 'darwin' ? type === statfsSync('/').type : ONE_KERNEL.has(type);
}
