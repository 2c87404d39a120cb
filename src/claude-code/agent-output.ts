/** Longest part of a key or text that is remembered; all expected texts are shorter. */
const MAX_TEXT_BYTES = 128;

const [QUOTE, BACKSLASH, NEWLINE, COLON, COMMA] = [0x22, 0x5c, 0x0a, 0x3a, 0x2c];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x7b, 0x7d, 0x5b, 0x5d];
/** Whitespace in JSON except the line feed: blank, tab and carriage return. */
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0d]);

const TASKS_CHANGED = 'background_tasks_changed';

/** Messages that are written only while the agent works; all others may come at any time. */
const WORK: ReadonlySet<string> = new Set([
  ...['assistant', 'user', 'stream_event', 'system init', 'system session_state_changed running'],
]);

type Field = 'type' | 'subtype' | 'state' | 'session_id' | 'tasks';
const FIELDS: ReadonlySet<string> = new Set<Field>([
  ...(['type', 'subtype', 'state', 'session_id', 'tasks'] as const),
]);

/**
 * Parses an agent's stdout (`--output-format stream-json`) only to tell whether it works. Each line
 * is one JSON object, a message. It may have many megabytes, in any number of chunks. Only a few
 * short fields of its outermost object are kept, in whatever order they come.
 *
 * After a result come (measured, SDK 0.3.330): `session_state_changed idle`, answers to the host's
 * control requests, and system messages about background tasks while they run. Then the agent
 * starts a new turn of its own about them.
 */
export class AgentOutput {
  /** True if a result was the last sign of work and no background task is running. */
  get turnOver(): boolean {
    return this.#resultIsLast && !this.#hasTasks;
  }

  #resultIsLast = false;
  #hasTasks = false;
  #onSessionId: ((id: string) => void) | undefined;

  // State of the current line:
  readonly #fields = new Map<string, string>();
  /** The rest of the line has no fields of interest. */
  #skip = false;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** The next text on the outermost level is a key. */
  #keyIsNext = false;
  #key = '';
  /** The buffer for the current text, if the text is wanted. */
  #text: Uint8Array | undefined;
  #length = 0;
  readonly #buffer = new Uint8Array(MAX_TEXT_BYTES);

  readonly #watchesTurns: boolean;

  /**
   * `onSessionId` is called once, for the first message with the agent's own session id. Without
   * `watchesTurns` nothing else is parsed.
   */
  constructor(onSessionId?: (id: string) => void, watchesTurns = true) {
    this.#onSessionId = onSessionId;
    this.#watchesTurns = watchesTurns;
  }

  push(chunk: Uint8Array): void {
    if (!this.#watchesTurns && this.#onSessionId === undefined) return;
    const first = chunk.indexOf(NEWLINE) + 1;
    const last = chunk.lastIndexOf(NEWLINE) + 1;
    const between = Buffer.from(chunk.buffer, chunk.byteOffset + first, last - first);
    if (this.#isWantedIn(between)) {
      this.#read(chunk);
      return;
    }
    // From a fast agent hundreds of messages arrive at once; parsing them all would slow the host
    // down.
    this.#read(chunk.subarray(0, first));
    if (this.#watchesTurns) this.#readBackwards(between);
    this.#read(chunk.subarray(last));
  }

  /** True if each of these lines has to be parsed. */
  #isWantedIn(lines: Buffer): boolean {
    if (this.#watchesTurns && lines.includes(TASKS_CHANGED)) return true;
    return this.#onSessionId !== undefined && lines.includes('"session_id"');
  }

  /** Parses lines from the last one back, until one tells whether the agent works. */
  #readBackwards(lines: Uint8Array): void {
    let isTold = false;
    for (let end = lines.length; end > 0 && !isTold; ) {
      const start = end < 2 ? 0 : lines.lastIndexOf(NEWLINE, end - 2) + 1;
      isTold = this.#read(lines.subarray(start, end));
      end = start;
    }
  }

  /** Parses a chunk; returns true if a line completed in it tells whether the agent works. */
  #read(chunk: Uint8Array): boolean {
    let isTold = false;
    for (let at = 0; at < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, at);
      this.#readLine(chunk, at, newline < 0 ? chunk.length : newline);
      if (newline < 0) break;
      isTold = this.#endLine() || isTold;
      at = newline + 1;
    }
    return isTold;
  }

  /** Parses a line, or a part of one. */
  #readLine(chunk: Uint8Array, from: number, end: number): void {
    for (let at = from; at < end && !this.#skip; at++) {
      if (!this.#inString) this.#readStructure(chunk[at] as number);
      else if (this.#text !== undefined) this.#readText(chunk[at] as number, this.#text);
      else at = this.#passText(chunk, at, end);
    }
  }

  /** Skips a text that is not wanted; returns the position of its end. */
  #passText(chunk: Uint8Array, from: number, end: number): number {
    const isEscaped = (at: number): boolean => {
      let before = at;
      while (before > from && chunk[before - 1] === BACKSLASH) before--;
      // Backslashes escape each other in pairs; an odd one escapes this byte.
      return ((at - before) % 2 === 1) !== (before === from && this.#escaped);
    };
    for (let at = from; ; at++) {
      at = chunk.indexOf(QUOTE, at);
      if (at < 0 || at >= end) {
        this.#escaped = isEscaped(end);
        return end;
      }
      if (isEscaped(at)) continue;
      this.#inString = false;
      return at;
    }
  }

  #readText(byte: number, text: Uint8Array): void {
    if (byte === QUOTE && !this.#escaped) {
      this.#inString = false;
      this.#endText(text);
      return;
    }
    this.#escaped = byte === BACKSLASH && !this.#escaped;
    if (this.#length < MAX_TEXT_BYTES) text[this.#length] = byte;
    this.#length++;
  }

  #readStructure(byte: number): void {
    switch (byte) {
      case QUOTE:
        this.#inString = true;
        this.#escaped = false;
        this.#length = 0;
        this.#text =
          this.#depth === 1 && (this.#keyIsNext || FIELDS.has(this.#key))
            ? this.#buffer
            : undefined;
        return;
      case COLON:
        if (this.#depth === 1) this.#keyIsNext = false;
        return;
      case COMMA:
        if (this.#depth === 1) this.#keyIsNext = true;
        return;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        this.#open(byte);
        return;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        this.#depth--;
        return;
      default:
        // A line that is no JSON object is not the agent's message.
        if (this.#depth === 0 && !BLANKS.has(byte)) this.#skip = true;
    }
  }

  #open(byte: number): void {
    if (this.#depth === 0) {
      this.#skip = byte !== OPEN_OBJECT;
      this.#keyIsNext = true;
    }
    // The list itself, and its first level.
    if (this.#key === 'tasks' && !this.#keyIsNext && this.#depth <= 2)
      this.#fields.set('tasks', this.#depth === 1 ? 'none' : 'some');
    this.#depth++;
  }

  #endText(bytes: Uint8Array): void {
    const isWhole = this.#length <= MAX_TEXT_BYTES;
    const text = isWhole ? String.fromCharCode(...bytes.subarray(0, this.#length)) : '';
    if (this.#keyIsNext) {
      this.#key = text;
      return;
    }
    this.#fields.set(this.#key, text);
    this.#skip = this.#isEnough();
  }

  /** Most bytes of a message come after the fields that matter, so the rest is skipped. */
  #isEnough(): boolean {
    const type = this.#fields.get('type');
    if (type === undefined || type === 'system') return false;
    return this.#onSessionId === undefined || this.#fields.has('session_id');
  }

  /** Ends a line; returns true if it tells whether the agent works. */
  #endLine(): boolean {
    const isTold = this.#takeFrame();
    this.#fields.clear();
    this.#skip = false;
    this.#depth = 0;
    this.#inString = false;
    this.#key = '';
    return isTold;
  }

  #takeFrame(): boolean {
    const type = this.#fields.get('type');
    const subtype = this.#fields.get('subtype');
    const words = [type, subtype, this.#fields.get('state')];
    const isWork = [1, 2, 3].some((count) => WORK.has(words.slice(0, count).join(' ')));
    if (type === 'result') this.#resultIsLast = true;
    else if (isWork) this.#resultIsLast = false;
    else if (type === 'system' && subtype === TASKS_CHANGED)
      this.#hasTasks = this.#fields.get('tasks') === 'some';
    const id = this.#fields.get('session_id');
    if (id) {
      const tell = this.#onSessionId;
      this.#onSessionId = undefined;
      tell?.(id);
    }
    return type === 'result' || isWork;
  }
}
