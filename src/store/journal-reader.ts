import { closeSync, openSync, readSync } from 'node:fs';
import { turnOfLoop } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { statOwn } from './files.ts';
import {
  FORMAT_VERSION,
  type JournalHeader,
  parseChange,
  parseHeader,
  parseJson,
  type SupervisionRecord,
} from './formats.ts';

/** More than the longest header takes. */
const MAX_HEADER_BYTES = 4096;
/** How much is read before the event loop is let go: some 150 records. */
const SLICE_BYTES = 32 * 1024;
/** Far more than ten thousand records: a file beyond that is none of ours. */
const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

/** What a journal file holds, and what in it could not be read. */
export interface JournalContent {
  /** `undefined` when the file is empty, foreign or of another format version. */
  readonly header: JournalHeader | undefined;
  readonly records: ReadonlyMap<string, SupervisionRecord>;
  readonly warnings: readonly string[];
}

/** Reads whose journal it is, if nobody else can have written it; reports any other. */
export function headerOf(path: string, os: Os, unproven: Unproven[]): JournalHeader | undefined {
  const refuse = (reason: string): undefined => {
    unproven.push({ pid: undefined, reason: `${path}: ${reason}` });
  };
  try {
    const stat = statOwn(path, os);
    if (!stat.isFile()) return refuse('not a regular file');
    if (stat.size > MAX_JOURNAL_BYTES) return refuse(`${stat.size} bytes are no journal`);
    return readHeader(path) ?? refuse(`not a journal of format ${FORMAT_VERSION}`);
  } catch (error) {
    return isGone(error) ? undefined : refuse((error as Error).message);
  }
}

/** Reads a journal that nobody else can have written; reports any other. */
export async function readSafely(
  path: string,
  os: Os,
  unproven: Unproven[],
): Promise<JournalContent | undefined> {
  return headerOf(path, os, unproven) && contentOf(path, unproven);
}

export async function contentOf(
  path: string,
  unproven: Unproven[],
): Promise<JournalContent | undefined> {
  try {
    return await readJournal(path);
  } catch (error) {
    if (!isGone(error))
      unproven.push({ pid: undefined, reason: `${path}: ${(error as Error).message}` });
    return undefined;
  }
}

/** Another host was faster. */
function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** Reads whose journal it is; `undefined` for a file that is empty, foreign or of another format version. */
function readHeader(path: string): JournalHeader | undefined {
  const head = Buffer.alloc(MAX_HEADER_BYTES);
  const fd = openSync(path, 'r');
  try {
    const length = readSync(fd, head);
    const [first = ''] = head.toString('utf8', 0, length).split('\n', 1);
    return parseHeader(parseJson(first));
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads a journal as it is: a torn last line and lines of noise cost a warning each, never the rest.
 * Done in slices that leave the event loop free.
 */
export async function readJournal(path: string): Promise<JournalContent> {
  const records = new Map<string, SupervisionRecord>();
  const warnings: string[] = [];
  let header: JournalHeader | undefined;
  let number = 0;
  for await (const text of linesOf(path)) {
    number++;
    if (number === 1) {
      header = parseHeader(parseJson(text));
      if (header === undefined) break;
      continue;
    }
    if (text === '') continue;
    const change = parseChange(parseJson(text));
    if (change === undefined) warnings.push(`${path}:${number}: unreadable line skipped`);
    else if ('add' in change) records.set(change.add.id, change.add);
    else records.delete(change.remove);
  }
  if (header === undefined) warnings.push(`${path}:1: not a journal of format ${FORMAT_VERSION}`);
  return { header, records, warnings };
}

/** The lines of a file, with a turn of the event loop after each piece of it. */
async function* linesOf(path: string): AsyncGenerator<string> {
  const piece = Buffer.alloc(SLICE_BYTES);
  const decoder = new TextDecoder();
  const fd = openSync(path, 'r');
  let torn = '';
  try {
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece)) {
      const lines = decoder.decode(piece.subarray(0, length), { stream: true }).split('\n');
      // Only the piece was split: a line of 16 MiB would be searched again with each of its pieces.
      lines[0] = torn + lines[0];
      torn = lines.pop() ?? '';
      yield* lines;
      await turnOfLoop();
    }
    yield torn + decoder.decode();
  } finally {
    closeSync(fd);
  }
}
