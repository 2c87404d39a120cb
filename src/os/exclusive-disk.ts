import { lstatSync } from 'node:fs';
import { uptime } from 'node:os';
import { statfsSync } from './builtin.ts';

/**
 * Types of file systems that only one kernel can mount at a time (linux/magic.h). They are ext2 to
 * ext4, XFS, Btrfs, F2FS and ZFS. Data that another kernel wrote there is older than this mount.
 */
const ONE_KERNEL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1,
]);

/** True if a file is older than this boot, on a disk that no other kernel can write now. */
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
  // macOS has its own numbers for file systems, and its boot disk is never shared.
  return process.platform === 'darwin' ? type === statfsSync('/').type : ONE_KERNEL.has(type);
}
