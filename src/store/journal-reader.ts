import { closeSync, openSync } from 'node:fs';
import { turnOfLoop } from '../os/clock.ts';
import type { Os } from '../os/os.ts';
import type { Unproven } from '../reports.ts';
import { statOwn } from './files.ts';
import {
  FORMAT_VERSION,
  type JournalHeader,
  parseChange,
  parseHeader,
  type SupervisionRecord,
} from './formats.ts';
import { type JsonLine, JsonlReader, readFirstLine } from './jsonl.ts';

/** More than the longest header takes. */
const MAX_HEADER_BYTES = 4096;
/** Read before the event loop is let go: some 150 records. */
const SLICE_BYTES = 32 * 1024;
/** Far more than ten thousand records: a file beyond that is none of ours. */
const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

/** The records of a journal, with a warning for each line that could not be read. */
export interface JournalContent {
  /** `undefined` when the file is empty, foreign or of another format version. */
  readonly header: JournalHeader | undefined;
  readonly records: ReadonlyMap<string, SupervisionRecord>;
  readonly warnings: readonly string[];
}

/** Reads a journal's header, if nobody else can have written the file; reports any other file. */
export function headerOf(path: string, os: Os, unproven: Unproven[]): JournalHeader | undefined {
  const refuse = (reason: string): undefined => {
    unproven.push({ pid: undefined, reason: `${path}: ${reason}` });
  };
  try {
    const stat = statOwn(path, os);
    if (!stat.isFile()) return refuse('not a regular file');
    if (stat.size > MAX_JOURNAL_BYTES) return refuse(`${stat.size} bytes are no journal`);
    return (
      parseHeader(readFirstLine(path, MAX_HEADER_BYTES)) ??
      refuse(`not a journal of format ${FORMAT_VERSION}`)
    );
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

/**
 * Reads a journal as it is.
 *
 * A torn last line and lines of noise cost a warning each, never the rest. The work is sliced to leave the
 * event loop free.
 */
export async function readJournal(path: string): Promise<JournalContent> {
  const records = new Map<string, SupervisionRecord>();
  const warnings: string[] = [];
  let header: JournalHeader | undefined;
  for await (const { number, value } of linesOf(path)) {
    if (header === undefined) {
      header = number === 1 ? parseHeader(value) : undefined;
      if (header === undefined) break;
      continue;
    }
    const change = parseChange(value);
    if (change === undefined) warnings.push(`${path}:${number}: unreadable line skipped`);
    else if ('add' in change) records.set(change.add.id, change.add);
    else records.delete(change.remove);
  }
  if (header === undefined) warnings.push(`${path}:1: not a journal of format ${FORMAT_VERSION}`);
  return { header, records, warnings };
}

/** The lines of a file, with a turn of the event loop after each piece of it. */
async function* linesOf(path: string): AsyncGenerator<JsonLine> {
  const reader = new JsonlReader();
  const fd = openSync(path, 'r');
  try {
    for (let bytes = -1; bytes !== 0; ) {
      const piece = reader.read(fd, SLICE_BYTES);
      yield* piece.lines;
      bytes = piece.bytes;
      await turnOfLoop();
    }
    yield* reader.end();
  } finally {
    closeSync(fd);
  }
}
