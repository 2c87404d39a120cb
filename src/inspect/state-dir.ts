import { lstatSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { sliced } from '../os/clock.ts';
import { freeBytes } from '../os/host-facts.ts';
import type { Os } from '../os/os.ts';
import { namesIn } from '../store/files.ts';
import { parseName } from '../store/layout.ts';
import type { FileGroup, StateDirHealth } from './report.ts';

/** Most unsafe files in a report. */
const MAX_UNSAFE = 50;

interface SeenFile {
  readonly name: string;
  readonly kind: FileGroup['kind'];
  readonly stat: Stats;
}

/** Reports the files of the state directory, with their owner and their access rights. */
export async function stateDirHealth(
  os: Os,
  stateDir: string,
  shownPath: string,
  publicText: (text: string) => string,
): Promise<StateDirHealth> {
  const folder = statSync(stateDir, { throwIfNoEntry: false });
  const owned = os.userId() === undefined ? undefined : folder;
  const seen: SeenFile[] = [];
  const rest = sliced(os.clock);
  for (const name of namesIn(stateDir).sort()) {
    await rest();
    const stat = lstatOf(join(stateDir, name));
    if (stat !== undefined) seen.push({ name, kind: kindOf(name, stat), stat });
  }
  const groups = Map.groupBy(seen, ({ kind }) => kind);
  const files = Array.from(groups, ([kind, all]) => ({ kind, count: all.length, bytes: sum(all) }));
  const unsafe = seen.flatMap(({ name, stat }) => {
    const why = unsafeReason(stat, os.userId());
    return why === undefined ? [] : [{ file: publicText(name), why }];
  });
  return {
    path: shownPath,
    exists: folder !== undefined,
    // Node makes up a mode on Windows: 666, even for a file that only its owner may write.
    mode: owned === undefined ? null : modeOf(owned),
    ownerUid: owned?.uid ?? null,
    files: files.sort((a, b) => b.bytes - a.bytes),
    bytes: sum(seen),
    freeBytes: freeBytes(stateDir) ?? null,
    unsafe: unsafe.slice(0, MAX_UNSAFE),
  };
}

function kindOf(name: string, stat: Stats): FileGroup['kind'] {
  if (stat.isDirectory()) return 'folder';
  if (stat.isSocket()) return 'socket';
  return parseName(name)?.kind ?? 'other';
}

/** Returns why a file is unsafe; `undefined` for a safe one, and where the system has no user ids. */
function unsafeReason(stat: Stats, userId: number | undefined): string | undefined {
  if (stat.isSymbolicLink()) return 'it is a link';
  if (userId === undefined) return undefined;
  if (stat.uid !== userId) return `it belongs to uid ${stat.uid}`;
  if (stat.mode & 0o022) return `others can write it (mode ${modeOf(stat)})`;
  // Not for a socket: the folder's mode decides who can reach it.
  if (stat.isFile() && stat.mode & 0o044) return `others can read it (mode ${modeOf(stat)})`;
  return undefined;
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o777).toString(8);
}

function sum(all: readonly SeenFile[]): number {
  return all.reduce((total, { stat }) => total + stat.size, 0);
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
