import { rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Os } from '../os/os.ts';
import { filesIn, makePrivateFolder, namesIn, readOwnFile, replaceFile } from './files.ts';
import { type HostShareFile, parseHostShare } from './formats.ts';
import { jsonLine } from './jsonl.ts';
import { hostSharePath, machineSlotsPath, parseName, slotSetHash } from './layout.ts';

/** A file of the slots' folder: one host's share of one set. */
export interface FoundShare {
  readonly path: string;
  readonly set: string;
  /** The owner in the file's name. */
  readonly owner: string;
  /** `undefined` if it is torn, of another format, or says another owner than its name. */
  readonly share: HostShareFile | undefined;
}

/** Reads every host's share of the slots of a state directory, or of one set. The file of `own` is not read. */
export function readShares(
  stateDir: string,
  os: Pick<Os, 'userId'>,
  set?: string,
  own?: string,
): FoundShare[] {
  return filesIn(machineSlotsPath(stateDir), 'share')
    .filter((file) => set === undefined || file.set === set)
    .flatMap(({ path, set: its, owner }) => {
      const share = owner === own ? undefined : readShare(path, its, owner, os);
      return share === 'gone' ? [] : [{ path, set: its, owner, share }];
    });
}

function readShare(
  path: string,
  set: string,
  instance: string,
  os: Pick<Os, 'userId'>,
): HostShareFile | 'gone' | undefined {
  try {
    const share = parseHostShare(JSON.parse(readOwnFile(path, os)));
    if (share === undefined || share.owner.instance !== instance) return undefined;
    return slotSetHash(share.owner, share.kind) === set ? share : undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'gone' : undefined;
  }
}

/** Writes a host's own share, whole or not at all. */
export function writeShare(stateDir: string, share: HostShareFile, os: Pick<Os, 'userId'>): void {
  const { owner, kind } = share;
  const path = hostSharePath(stateDir, slotSetHash(owner, kind), owner.instance);
  const text = jsonLine(share);
  try {
    replaceFile(path, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // The first of its hosts, or the last one before has just removed the folder.
    makePrivateFolder(machineSlotsPath(stateDir), os.userId());
    replaceFile(path, text);
  }
}

/** Removes all shares of a host; without `owner`, only the folder if it is empty. */
export function removeShares(stateDir: string, owner?: string): void {
  const folder = machineSlotsPath(stateDir);
  if (owner !== undefined)
    for (const name of namesIn(folder))
      if (parseName(name.replace(/\.tmp$/, ''), 'share')?.owner === owner)
        rmSync(join(folder, name), { force: true });
  try {
    rmdirSync(folder);
  } catch {
    // Another host has its share there, or there is no folder.
  }
}
