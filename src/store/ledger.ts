import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { type JsonLine, JsonlReader, jsonLine } from './jsonl.ts';

/** Far more than a session writes in its retention: a file beyond that is none of ours. */
const MAX_LEDGER_BYTES = 16 * 1024 * 1024;

export interface LedgerOptions<Line> {
  readonly path: string;
  /** The owner that the file must have; `undefined` where the system has no user ids. */
  readonly userId: number | undefined;
  /** Reads one line; `undefined` for what this format does not know. */
  parse(value: unknown): Line | undefined;
  /** Counts a line that cannot be written as long as this host lives. @default true */
  readonly remembers?: boolean;
  warn(message: string, cause?: unknown): void;
}

/**
 * An append-only file of JSON lines that many owners share without a lock.
 *
 * Each line is one atomic append, and every reader sees the lines of all owners. A line that cannot be read
 * costs a warning, never the rest.
 */
export class Ledger<Line extends object> {
  readonly #options: LedgerOptions<Line>;
  #lines: Line[] = [];
  /** Lines that stand in no file. */
  #unwritten: Line[] = [];
  readonly #reader = new JsonlReader();
  /** The failure that it has warned of. */
  #failing: 'read' | 'written' | undefined;

  constructor(options: LedgerOptions<Line>) {
    this.#options = options;
  }

  /** All lines, with those that others have added since. */
  read(): readonly Line[] {
    this.#attempt('read', () => this.#readOn());
    return this.#unwritten.length > 0 ? [...this.#lines, ...this.#unwritten] : this.#lines;
  }

  append(line: Line): void {
    const isWritten = this.#attempt('written', () => {
      // After a torn line a fresh one, or both would be lost.
      const text = `${this.#reader.isTorn ? '\n' : ''}${jsonLine(line)}`;
      const fd = this.#open(constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT);
      try {
        const bytes = Buffer.byteLength(text);
        // Nobody would read any of it again, and what was spent would be forgotten.
        if (fstatSync(fd).size + bytes > MAX_LEDGER_BYTES) throw new Error('the file is full');
        const written = writeSync(fd, text);
        if (written < bytes) throw new Error('the disk is full');
      } finally {
        closeSync(fd);
      }
    });
    if (!isWritten && this.#options.remembers !== false) this.#unwritten.push(line);
  }

  #readOn(): void {
    const fd = this.#open(constants.O_RDONLY);
    try {
      const { size } = fstatSync(fd);
      if (size > MAX_LEDGER_BYTES) throw new Error(`${size} bytes are no ledger`);
      const { lines, isOther } = this.#reader.read(fd);
      if (isOther) this.#lines = [];
      for (const line of lines) this.#take(line);
    } finally {
      closeSync(fd);
    }
  }

  #take({ number, value }: JsonLine): void {
    const line = this.#options.parse(value);
    if (line !== undefined) this.#lines.push(line);
    else this.#options.warn(`${this.#options.path}:${number}: unreadable line skipped`);
  }

  /** Opens the file if nobody else can have written it. */
  #open(flags: number): number {
    const { path, userId } = this.#options;
    // A pipe would hold us until somebody opens its other end.
    const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
    const fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, 0o600);
    const stat = fstatSync(fd);
    if (stat.isFile() && (userId === undefined || stat.uid === userId)) return fd;
    closeSync(fd);
    throw new Error(stat.isFile() ? `it belongs to uid ${stat.uid}` : 'it is no regular file');
  }

  /** Says once that it cannot, until it can again. */
  #attempt(what: 'read' | 'written', act: () => void): boolean {
    try {
      act();
      if (this.#failing === what) this.#failing = undefined;
      return true;
    } catch (error) {
      if (what === 'read' && (error as NodeJS.ErrnoException).code === 'ENOENT') return true;
      const { path, remembers = true, warn } = this.#options;
      const sequel = remembers ? 'it goes on in memory' : 'what happens meanwhile is lost to it';
      if (this.#failing === undefined) warn(`${path} cannot be ${what}; ${sequel}`, error);
      this.#failing ??= what;
      return false;
    }
  }
}
