import { basename, join } from 'node:path';
import { hashName } from '../os/hash.ts';
import type { Os } from '../os/os.ts';
import { hasMark, marksOf } from '../tree/marks.ts';
import { namesIn, readOwnFile } from './files.ts';
import { type Claim, parseClaim } from './formats.ts';

const FILE = /^conversation-[0-9a-f]{32}\.json$/;

/** Whether anything that lives bears the mark of one of these segments. */
export async function isCarried(segments: readonly string[], os: Os): Promise<boolean> {
  const table = await os.processes.snapshot();
  const wanted = segments.map(marksOf);
  return [...table.values()].some((entry) => wanted.some((marks) => hasMark(entry, marks)));
}

/** A conversation may have any name; its file has one of a fixed form. */
export function claimFileName(key: string): string {
  const name = hashName(key);
  return `conversation-${name}.json`;
}

export function claimPaths(stateDir: string): string[] {
  return namesIn(stateDir)
    .filter((name) => FILE.test(name))
    .map((name) => join(stateDir, name));
}

/** Where a host says whose agent it ends to run the conversation itself. */
export function takeoverOf(path: string): string {
  return path.replace(/\.json$/, '.takeover');
}

/** Reads whose a conversation is, if nobody else can have written it; `undefined` for a claim that is not there. */
export function readClaim(path: string, os: Os): Claim | 'unreadable' | undefined {
  try {
    const claim = parseClaim(JSON.parse(readOwnFile(path, os)));
    // One of another conversation proves nothing about this one.
    return claim && claimFileName(claim.conversation) === basename(path) ? claim : 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unreadable';
  }
}
