import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs';
import { resolve } from 'node:path';
import type { LaunchRequest } from './os.ts';

/** execvp(3) without a PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';
/** The kernel follows this many nested interpreters (fs/exec.c). */
const MAX_INTERPRETERS = 5;
/** Enough for a script's first line (BINPRM_BUF_SIZE) and an ELF file's program headers. */
const HEAD_BYTES = 4096;
const MAX_SCRIPT_LINE = 256;

type Asked = Pick<LaunchRequest, 'command' | 'cwd' | 'env'>;

/**
 * Predicts whether the system will run a program. It must be on the child's PATH and executable,
 * and so must its interpreter. `false` is a doubt, not a verdict.
 */
export function canExecute({ command, cwd, env }: Asked): boolean {
  try {
    const folder = resolve(cwd ?? '.');
    accessSync(folder, constants.X_OK);
    const path = command.includes('/')
      ? resolve(folder, command)
      : (env['PATH'] ?? DEFAULT_PATH)
          .split(':')
          .map((entry) => resolve(folder, entry, command))
          .find(isExecutableFile);
    return path !== undefined && isRunnable(path, folder);
  } catch {
    return false;
  }
}

function isExecutableFile(path: string): boolean {
  try {
    const stats: Stats | undefined = statSync(path, { throwIfNoEntry: false });
    if (!stats?.isFile()) return false;
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isRunnable(path: string, folder: string, depth = 0): boolean {
  if (depth > MAX_INTERPRETERS || !isExecutableFile(path)) return false;
  const head = headOf(path);
  // A program that is executable but not readable is no script: its interpreter could not read it
  // either.
  const interpreter = head && interpreterOf(head);
  return interpreter === undefined || isRunnable(resolve(folder, interpreter), folder, depth + 1);
}

/** The beginning of a file; `undefined` if this user may not read it. */
function headOf(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

/**
 * The interpreter of a script or the loader of a dynamically linked program; `undefined` for none.
 */
function interpreterOf(head: Buffer): string | undefined {
  const line = head.subarray(0, MAX_SCRIPT_LINE).toString('latin1');
  if (line.startsWith('#!')) return /^#![ \t]*([^ \t\n\0]+)/.exec(line)?.[1];
  return line.startsWith('\x7fELF') ? elfInterpreterOf(head) : undefined;
}

/** PT_INTERP of elf(5), in this machine's own byte order. */
function elfInterpreterOf(head: Buffer): string | undefined {
  const is64 = head[4] === 2;
  const word = (at: number): number =>
    is64 ? Number(head.readBigUInt64LE(at)) : head.readUInt32LE(at);
  const at = is64
    ? { headers: 32, size: 54, count: 56, offset: 8, length: 32 }
    : { headers: 28, size: 42, count: 44, offset: 4, length: 16 };
  const headers = word(at.headers);
  for (let i = 0; i < head.readUInt16LE(at.count); i++) {
    const header = headers + i * head.readUInt16LE(at.size);
    if (head.readUInt32LE(header) !== 3) continue;
    const from = word(header + at.offset);
    return head.toString('latin1', from, from + word(header + at.length) - 1);
  }
  return undefined;
}
