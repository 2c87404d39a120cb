import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SupervisorError } from '../errors.ts';
import { turnOfLoop } from '../os/clock.ts';
import { append, createFile, makePrivateFolder, replaceFile } from './files.ts';
import {
  FORMAT_VERSION,
  type JournalHeader,
  parseChange,
  parseHeader,
  type SupervisionRecord,
} from './record.ts';

/** A journal is rewritten when it holds this many dead lines, or three times its live ones if that is more. */
const MIN_DEAD_LINES = 4096;
/** More than the longest header takes. */
const MAX_HEADER_BYTES = 4096;
/** How much is read before the event loop is let go: some 150 records. */
const SLICE_BYTES = 32 * 1024;

export interface JournalOptions {
  readonly stateDir: string;
  readonly owner: JournalHeader['owner'];
  readonly openedAt: number;
  /** Whose the folder must be; `undefined` where the system has no user ids. */
  readonly userId: number | undefined;
  readonly warn: (message: string, error: unknown) => void;
}

/** What a journal file holds, and what in it could not be read. */
export interface JournalContent {
  /** `undefined` when the file is empty, foreign or of another format version. */
  readonly header: JournalHeader | undefined;
  readonly records: ReadonlyMap<string, SupervisionRecord>;
  readonly warnings: readonly string[];
}

/**
 * One supervisor's registry and its file: JSON lines, one atomic append a change.
 *
 * The file is never the authority while its owner lives: `records` is. A failed append costs a
 * warning, and the next change tries to write the whole registry anew.
 */
export class Journal {
  readonly path: string;
  readonly #openedAt: number;
  readonly #warn: (message: string, error: unknown) => void;
  readonly #records = new Map<string, SupervisionRecord>();
  /** The live records as they stand in the file: to rewrite it, nothing is serialized again. */
  readonly #lines = new Map<string, string>();
  #header: string;
  #fd: number;
  #deadLines = 0;
  #intact = true;

  /** Opens a new journal in `stateDir`; throws `STATE_DIR_UNSAFE` if that cannot be done safely. */
  constructor({ stateDir, owner, openedAt, userId, warn }: JournalOptions) {
    this.path = join(stateDir, `host-${owner.instance}.jsonl`);
    this.#openedAt = openedAt;
    this.#header = journalLine({ version: FORMAT_VERSION, owner, openedAt });
    this.#warn = warn;
    try {
      makePrivateFolder(stateDir, userId);
      this.#fd = createFile(this.path, this.#header);
    } catch (error) {
      throw unusable(stateDir, error);
    }
  }

  get records(): ReadonlyMap<string, SupervisionRecord> {
    return this.#records;
  }

  /** Adds a record, or replaces the one with its id. */
  add(record: SupervisionRecord): void {
    if (this.#records.has(record.id)) this.#deadLines++;
    this.#write(this.#keep(record));
  }

  remove(id: string): void {
    if (!this.#records.delete(id)) return;
    this.#lines.delete(id);
    this.#deadLines += 2;
    this.#write(journalLine({ remove: id }));
  }

  /** Writes the file anew with an identity that has become known, in the header and in every record. */
  identify(owner: JournalHeader['owner']): void {
    const { bootId, pidNamespace } = owner;
    this.#header = journalLine({ version: FORMAT_VERSION, owner, openedAt: this.#openedAt });
    for (const record of [...this.#records.values()])
      this.#keep({ ...record, bootId, pidNamespace });
    this.#attempt(() => this.#rewrite());
  }

  /** Closes the file, and removes it unless it still names a process. */
  close(): void {
    this.#close();
    if (this.#records.size > 0) return;
    this.#attempt(() => rmSync(this.path, { force: true }));
  }

  #keep(record: SupervisionRecord): string {
    const line = journalLine({ add: record });
    this.#records.set(record.id, record);
    this.#lines.set(record.id, line);
    return line;
  }

  #write(line: string): void {
    const full = this.#deadLines > Math.max(MIN_DEAD_LINES, 3 * this.#records.size);
    this.#attempt(() => {
      if (full || !this.#intact) this.#rewrite();
      else append(this.#fd, line);
    });
  }

  #attempt(change: () => void): void {
    try {
      change();
      this.#intact = true;
    } catch (error) {
      if (this.#intact)
        this.#warn(`the registry goes on in memory: cannot write ${this.path}`, error);
      this.#intact = false;
    }
  }

  /** Writes header and live records to a new file and puts it in place of the old one. */
  #rewrite(): void {
    // Closed first: Windows replaces no file that is open.
    this.#close();
    try {
      replaceFile(this.path, this.#header + [...this.#lines.values()].join(''));
    } finally {
      this.#fd = openSync(this.path, 'a', 0o600);
    }
    this.#deadLines = 0;
  }

  #close(): void {
    const fd = this.#fd;
    // Forgotten before it is closed: the number may be someone else's file the moment after.
    this.#fd = -1;
    if (fd >= 0) closeSync(fd);
  }
}

/** Reads whose journal it is; `undefined` for a file that is empty, foreign or of another format version. */
export function readHeader(path: string): JournalHeader | undefined {
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
      const text = decoder.decode(piece.subarray(0, length), { stream: true });
      const lines = `${torn}${text}`.split('\n');
      torn = lines.pop() ?? '';
      yield* lines;
      await turnOfLoop();
    }
    yield torn;
  } finally {
    closeSync(fd);
  }
}

/** One line of a journal. */
export function journalLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(stateDir: string, cause: unknown): SupervisorError {
  const reason = (cause as Error).message;
  return new SupervisorError(
    'STATE_DIR_UNSAFE',
    `stateDir "${stateDir}" cannot hold the registry: ${reason}. Pass a folder of your own (mode 0700) as stateDir, or set AGENT_SUPERVISOR_STATE_DIR.`,
    { cause, data: { field: 'stateDir', value: stateDir } },
  );
}
