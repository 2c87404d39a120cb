import { closeSync, openSync } from 'node:fs';
import type { Os } from '../os/os.ts';
import { filesIn, statOwn } from './files.ts';
import { type HistoryNote, parseNote } from './formats.ts';
import { JsonlReader } from './jsonl.ts';

/** Read at once: a thousand notes. */
const PIECE_BYTES = 256 * 1024;

/** The files of a state directory's history, oldest first. */
export function historyFiles(stateDir: string): string[] {
  return filesIn(stateDir, 'history')
    .map(({ path }) => path)
    .sort();
}

/** The notes in the last `bytes` of the history, oldest first. */
export function recentNotes(
  stateDir: string,
  os: Pick<Os, 'userId'>,
  bytes: number,
): HistoryNote[] {
  const notes: HistoryNote[] = [];
  let left = bytes;
  for (const path of historyFiles(stateDir).reverse()) {
    if (left <= 0) break;
    const reader = new HistoryReader(path, os, left);
    notes.unshift(...reader.readAll());
    left -= reader.bytes;
  }
  return notes;
}

/** Reads one file of the history, and what is added to it. */
export class HistoryReader {
  readonly path: string;
  /** Bytes read so far. */
  bytes = 0;
  readonly #os: Pick<Os, 'userId'>;
  readonly #reader: JsonlReader;

  /** Begins so many bytes before the end. @default all of it */
  constructor(path: string, os: Pick<Os, 'userId'>, tailBytes?: number) {
    this.path = path;
    this.#os = os;
    this.#reader = new JsonlReader({ tailBytes });
  }

  /** All notes that have come since the last call; what is no note is left out. */
  readAll(): HistoryNote[] {
    const notes: HistoryNote[] = [];
    for (let before = -1; before !== this.bytes; ) {
      before = this.bytes;
      for (const note of this.read()) notes.push(note);
    }
    return notes;
  }

  /** No more of them than one piece of the file holds. */
  read(): HistoryNote[] {
    if (!statOwn(this.path, this.#os).isFile()) return [];
    const fd = openSync(this.path, 'r');
    try {
      const { lines, bytes } = this.#reader.read(fd, PIECE_BYTES);
      this.bytes += bytes;
      return lines.flatMap(({ value }) => parseNote(value) ?? []);
    } finally {
      closeSync(fd);
    }
  }
}
