import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Os } from '../os/os.ts';
import { type FileKind, type ParsedName, parseName, temporaryPath } from './layout.ts';

export const FILE_MODE = 0o600;
/** Far more than a lock, a pid file or the like has. */
const MAX_SMALL_BYTES = 64 * 1024;
/** Makes a folder if there is none, and refuses one in which another user could plant a file. */
export function makePrivateFolder(path: string, userId: number | undefined): void {
  makeFolder(path);
  const { uid, mode } = statSync(path);
  // Windows has no user ids; its per-user folders are private by inheritance.
  if (userId === undefined) return;
  if (uid !== userId) throw new Error(`it belongs to uid ${uid}, not to uid ${userId}`);
  if (mode & 0o022) throw new Error(`others can write it (mode ${(mode & 0o777).toString(8)})`);
}

/** Tells that a folder exists in which nobody else could plant a file. */
export function isPrivateFolder(path: string, userId: number | undefined): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return false;
  return userId === undefined || (stat.uid === userId && (stat.mode & 0o022) === 0);
}

/**
 * Creates a folder and its parent folders.
 *
 * Node's own recursive `mkdir` never returns below `/proc`, and hides that a disk is read-only.
 */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
    const parent = dirname(path);
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' || statSync(parent, { throwIfNoEntry: false })) throw error;
    makeFolder(parent);
    makeFolder(path);
  }
}

/** Creates a file that must be new, open for appends; leaves nothing behind if it cannot be written. */
export function createFile(path: string, text: string): number {
  const fd = openSync(path, 'ax', FILE_MODE);
  try {
    append(fd, text);
    return fd;
  } catch (error) {
    closeSync(fd);
    rmSync(path, { force: true });
    throw error;
  }
}

/** {@link createFile}, closed at once; `false` if there is a file already. */
export function createNew(path: string, text: string): boolean {
  try {
    closeSync(createFile(path, text));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** One write, so that the text is whole or visibly torn, whoever dies in the middle. */
export function append(fd: number, text: string): void {
  const written = writeSync(fd, text);
  if (written === Buffer.byteLength(text)) return;
  // It takes a second one only on a disk that is full, and that one says so.
  let bytes = Buffer.from(text).subarray(written);
  while (bytes.length > 0) bytes = bytes.subarray(writeSync(fd, bytes));
}

/** Throws if anything but a file of our own stands at a path. */
export function assertReplaceable(path: string, userId: number | undefined): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isFile()) throw new Error(`${path} is no regular file`);
  if (userId !== undefined && stat.uid !== userId)
    throw new Error(`${path} belongs to uid ${stat.uid}, not to uid ${userId}`);
}

/** Opens a file of our own for appends, and follows no link. */
export function openForAppends(path: string): number {
  const { O_APPEND, O_NOFOLLOW = 0, O_WRONLY } = constants;
  return openSync(path, O_WRONLY | O_APPEND | O_NOFOLLOW, FILE_MODE);
}

/** Replaces a file, whole or not at all; `writer` where several may do so at once. */
export function replaceFile(path: string, text: string, writer?: string): void {
  const temporary = temporaryPath(path, writer);
  try {
    writeFileSync(temporary, text, { mode: FILE_MODE });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Looks at a path without following a link; throws if somebody else can have put it there. */
export function statOwn(path: string, os: Pick<Os, 'userId'>): Stats {
  const stat = lstatSync(path);
  const own = os.userId();
  if (own !== undefined && stat.uid !== own) throw new Error(`belongs to uid ${stat.uid}`);
  return stat;
}

/** Reads a small file whole; throws for what is none, and for what somebody else can have put there. */
export function readOwnFile(path: string, os: Pick<Os, 'userId'>): string {
  const stat = statOwn(path, os);
  if (!stat.isFile()) throw new Error('is no regular file');
  if (stat.size > MAX_SMALL_BYTES) throw new Error(`has ${stat.size} bytes, and is none of ours`);
  return readFileSync(path, 'utf8');
}

/** Lists a folder; a folder that is missing or cannot be read is empty. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Lists the files of some kinds; without `kinds`, of all that {@link parseName} knows. */
export function filesIn<Kind extends FileKind = FileKind>(
  stateDir: string,
  ...kinds: readonly Kind[]
): (ParsedName<Kind> & { readonly path: string })[] {
  return namesIn(stateDir).flatMap((name) => {
    const parsed = parseName(name, ...kinds);
    return parsed === undefined ? [] : [{ ...parsed, path: join(stateDir, name) }];
  });
}
