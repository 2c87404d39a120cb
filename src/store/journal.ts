import { closeSync, fstatSync, lstatSync, readFileSync, rmSync } from 'node:fs';
import { SupervisorError } from '../errors.ts';
import {
  append,
  assertReplaceable,
  createFile,
  makePrivateFolder,
  openForAppends,
  replaceFile,
} from './files.ts';
import { FORMAT_VERSION, type JournalHeader, type SupervisionRecord } from './formats.ts';
import { jsonLine, linesOf } from './jsonl.ts';
import { journalPath } from './layout.ts';

/** Dead lines above which a journal is rewritten, or three times its live lines if that is more. */
const MIN_DEAD_LINES = 4096;
/** A longer one is judged by its size and its place alone. */
const MAX_READ_BYTES = 256 * 1024;

export interface JournalOptions {
  readonly stateDir: string;
  readonly owner: JournalHeader['owner'];
  readonly openedAt: number;
  /** The owner that the folder must have; `undefined` where the system has no user ids. */
  readonly userId: number | undefined;
  readonly warn: (message: string, error: unknown) => void;
}

/**
 * One supervisor's registry and its file: JSON lines, one atomic append a change.
 *
 * The file is never the authority while its owner lives: `records` is. A failed append costs a
 * warning, and the next change or {@link check} tries to write the whole registry anew.
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
  /** The file's length, and its state when its content was last read. */
  #bytes: number;
  #seen = '';
  readonly #options: JournalOptions;

  /** Opens a new journal in `stateDir`; throws `STATE_DIR_UNSAFE` if that cannot be done safely. */
  constructor(options: JournalOptions) {
    const { stateDir, owner, openedAt, userId, warn } = options;
    this.#options = options;
    this.path = journalPath(stateDir, owner.instance);
    this.#openedAt = openedAt;
    this.#header = jsonLine({ version: FORMAT_VERSION, owner, openedAt });
    this.#warn = warn;
    try {
      makePrivateFolder(stateDir, userId);
      this.#fd = createFile(this.path, this.#header);
      this.#bytes = Buffer.byteLength(this.#header);
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
    this.#write(jsonLine({ remove: id }));
  }

  /** Writes the file anew with an identity that has become known, in the header and in every record. */
  identify(owner: JournalHeader['owner']): void {
    const { bootId, pidNamespace } = owner;
    this.#header = jsonLine({ version: FORMAT_VERSION, owner, openedAt: this.#openedAt });
    for (const record of [...this.#records.values()])
      this.#keep({ ...record, bootId, pidNamespace });
    this.#attempt(() => this.#rewrite());
  }

  /** Tells that the last change stands in the file. */
  get isIntact(): boolean {
    return this.#intact;
  }

  /**
   * Writes the file anew if somebody has removed or changed it, with its folder; returns what was wrong.
   * Where something stands in its place that is no file of ours, the registry goes on in memory.
   */
  check(): string | undefined {
    let flaw: string | undefined;
    const restore = (): void => {
      makePrivateFolder(this.#options.stateDir, this.#options.userId);
      flaw ??= this.#intact ? this.#findFlaw() : 'it could not be written';
      if (flaw !== undefined) this.#rewrite();
    };
    this.#attempt(() => {
      try {
        restore();
      } catch (error) {
        // The folder may have been taken away in this very moment.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        restore();
      }
    });
    return this.#intact ? flaw : undefined;
  }

  /** Closes the file, and removes it unless it still names a process. */
  close(): void {
    this.#close();
    if (this.#records.size > 0) return;
    this.#attempt(() => rmSync(this.path, { force: true }));
  }

  #keep(record: SupervisionRecord): string {
    const line = jsonLine({ add: record });
    this.#records.set(record.id, record);
    this.#lines.set(record.id, line);
    return line;
  }

  #write(line: string): void {
    const full = this.#deadLines > Math.max(MIN_DEAD_LINES, 3 * this.#records.size);
    this.#attempt(() => {
      if (full || !this.#intact) this.#rewrite();
      else {
        append(this.#fd, line);
        this.#bytes += Buffer.byteLength(line);
      }
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
    const { stateDir, userId } = this.#options;
    makePrivateFolder(stateDir, userId);
    assertReplaceable(this.path, userId);
    // Closed first: Windows replaces no file that is open.
    this.#close();
    const text = this.#header + [...this.#lines.values()].join('');
    replaceFile(this.path, text);
    this.#fd = openForAppends(this.path);
    this.#bytes = Buffer.byteLength(text);
    this.#deadLines = 0;
  }

  /** Says how somebody has changed the file; `undefined` if it is as we have left it. */
  #findFlaw(): string | undefined {
    const there = lstatSync(this.path, { bigint: true, throwIfNoEntry: false });
    if (there === undefined) return 'it was removed';
    const { dev, ino } = fstatSync(this.#fd, { bigint: true });
    if (there.ino !== ino || there.dev !== dev) return 'another one was put in its place';
    if (Number(there.size) !== this.#bytes) return 'somebody has changed its length';
    const look = `${there.size} ${there.mtimeNs}`;
    if (look === this.#seen || this.#bytes > MAX_READ_BYTES) return undefined;
    if (!this.#says(readFileSync(this.path, 'utf8'))) return 'somebody has changed its content';
    this.#seen = look;
    return undefined;
  }

  /** Tells that a text holds exactly the live records. */
  #says(text: string): boolean {
    if (!text.startsWith(this.#header)) return false;
    const told = new Map<string, string>();
    for (const { text: line, value } of linesOf(text.slice(this.#header.length))) {
      const change = value as { add?: { id: string }; remove?: string } | undefined;
      if (change?.add !== undefined) told.set(change.add.id, `${line}\n`);
      else told.delete(change?.remove ?? '');
    }
    const isTold = ([id, line]: [string, string]) => told.get(id) === line;
    return told.size === this.#lines.size && [...this.#lines].every(isTold);
  }

  #close(): void {
    const fd = this.#fd;
    // Forgotten before it is closed: the number may be someone else's file the moment after.
    this.#fd = -1;
    if (fd >= 0) closeSync(fd);
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
