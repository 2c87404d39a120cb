import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const NEWLINE = 0x0a;

/** One whole line of a file. */
export interface JsonLine {
  /** 1 for the first line that was read. */
  readonly number: number;
  readonly text: string;
  /** `undefined` for a line that is no JSON: torn, or foreign. */
  readonly value: unknown;
}

/** One line of a file, with its end. */
export function jsonLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** `undefined` for a text that is no JSON: torn, or foreign. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Splits text into whole lines; the beginning of a line waits for its end. Empty lines are left out. */
class LineSplitter {
  #torn = '';
  #count = 0;

  push(text: string): JsonLine[] {
    const lines = text.split('\n');
    // Only what is new was split: a line of 16 MiB would be searched again with each of its pieces.
    lines[0] = this.#torn + lines[0];
    this.#torn = lines.pop() ?? '';
    return lines.flatMap((line) => this.#take(line));
  }

  /** Takes what follows the last newline as a line of its own: nothing more will come. */
  end(): JsonLine[] {
    const torn = this.#torn;
    this.#torn = '';
    return this.#take(torn);
  }

  #take(text: string): JsonLine[] {
    this.#count++;
    return text === '' ? [] : [{ number: this.#count, text, value: parseJson(text) }];
  }
}

/** The lines that have been added to a file. */
export interface JsonlPiece {
  readonly lines: readonly JsonLine[];
  /** 0 at the end of the file. */
  readonly bytes: number;
  /** Another file has come in its place, or it was cut: `lines` are its first ones. */
  readonly isOther: boolean;
}

/** Reads a growing file of JSON lines, each time from where it has stopped. */
export class JsonlReader {
  #splitter = new LineSplitter();
  #decoder = new TextDecoder();
  #offset = 0;
  #isTorn = false;
  /** An inode's number alone is soon given to another file. */
  #file: string | undefined;
  readonly #tailBytes: number;

  /** Begins so many bytes before the end of the file. @default all of it */
  constructor({ tailBytes = Number.POSITIVE_INFINITY } = {}) {
    this.#tailBytes = tailBytes;
  }

  /** Tells that the file ends within a line. The next line has to begin with a newline, or both are lost. */
  get isTorn(): boolean {
    return this.#isTorn;
  }

  /** Reads on, at most so many bytes. */
  read(fd: number, maxBytes = Number.POSITIVE_INFINITY): JsonlPiece {
    const { ino, birthtimeNs, size } = fstatSync(fd, { bigint: true });
    const file = `${ino} ${birthtimeNs}`;
    const isFirst = this.#file === undefined;
    const isOther = !isFirst && (file !== this.#file || Number(size) < this.#offset);
    this.#file = file;
    if (isFirst) this.#offset = Math.max(0, Number(size) - this.#tailBytes);
    if (isOther) this.#beginAnew();
    const piece = Buffer.alloc(Math.min(Number(size) - this.#offset, maxBytes));
    const isTail = isFirst && this.#offset > 0;
    const bytes = readSync(fd, piece, 0, piece.length, this.#offset);
    this.#offset += bytes;
    if (bytes > 0) this.#isTorn = piece[bytes - 1] !== NEWLINE;
    const text = this.#decoder.decode(piece.subarray(0, bytes), { stream: true });
    // The first line of a tail is torn, as a rule.
    const whole = isTail ? text.slice(text.indexOf('\n') + 1 || text.length) : text;
    return { lines: this.#splitter.push(whole), bytes, isOther };
  }

  /** Takes what follows the last newline as a line of its own. */
  end(): JsonLine[] {
    return [...this.#splitter.push(this.#decoder.decode()), ...this.#splitter.end()];
  }

  #beginAnew(): void {
    this.#splitter = new LineSplitter();
    this.#decoder = new TextDecoder();
    this.#offset = 0;
    this.#isTorn = false;
  }
}

/** The lines of a whole text; what follows its last newline is left out. */
export function linesOf(text: string): JsonLine[] {
  return new LineSplitter().push(text);
}

/** Reads a file's first line, if it is no longer than `maxBytes`. */
export function readFirstLine(path: string, maxBytes: number): unknown {
  const head = Buffer.alloc(maxBytes);
  const fd = openSync(path, 'r');
  try {
    const [first = ''] = head.toString('utf8', 0, readSync(fd, head)).split('\n', 1);
    return parseJson(first);
  } finally {
    closeSync(fd);
  }
}
