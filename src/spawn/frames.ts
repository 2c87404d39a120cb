/** How much of a key or of a text is remembered: what we look for is shorter. */
const MAX_TEXT_BYTES = 128;

const [QUOTE, BACKSLASH, NEWLINE, COLON, COMMA] = [0x22, 0x5c, 0x0a, 0x3a, 0x2c];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY, SPACE] = [0x7b, 0x7d, 0x5b, 0x5d, 0x20];

/** Frames that are written only while the agent works; all others may come at any time. */
const WORK: ReadonlySet<string> = new Set([
  ...['assistant', 'user', 'stream_event', 'system init', 'system session_state_changed running'],
]);

type Field = 'type' | 'subtype' | 'state' | 'session_id' | 'tasks';
const FIELDS: ReadonlySet<string> = new Set<Field>([
  ...(['type', 'subtype', 'state', 'session_id', 'tasks'] as const),
]);

/**
 * Reads what an agent says on its stdout, one JSON object a line (`--output-format stream-json`), as
 * far as it tells whether the agent works. A frame may have many megabytes, in any number of chunks:
 * nothing of it is kept but a few short fields of its outermost object, in whatever order they come.
 *
 * What comes after a result (measured, SDK 0.3.330): `session_state_changed idle`, answers to the
 * host's control requests, and, while something runs in the background, frames of the system that
 * tell of it, until the agent starts a turn of its own about it.
 */
export class Frames {
  /** A result has come, and since then neither work nor a background task that still runs. */
  get turnOver(): boolean {
    return this.#resultIsLast && !this.#hasTasks;
  }

  #resultIsLast = false;
  #hasTasks = false;
  #onSessionId: ((id: string) => void) | undefined;

  // Of the line that is being read:
  readonly #fields = new Map<string, string>();
  /** The rest of the line says nothing more that we want to know. */
  #skip = false;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** The next text on the outermost level is a key. */
  #keyIsNext = false;
  #key = '';
  /** The text that is being read, if it is wanted. */
  #text: Uint8Array | undefined;
  #length = 0;
  readonly #buffer = new Uint8Array(MAX_TEXT_BYTES);

  /** `onSessionId` is called once, for the first frame that carries the agent's own id of its session. */
  constructor(onSessionId?: (id: string) => void) {
    this.#onSessionId = onSessionId;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at++) {
      if (this.#skip) {
        at = chunk.indexOf(NEWLINE, at);
        if (at < 0) return;
      }
      const byte = chunk[at] as number;
      // JSON has no raw line break in a text.
      if (byte === NEWLINE) this.#endLine();
      else if (this.#inString) this.#readText(byte);
      else this.#readStructure(byte);
    }
  }

  #readText(byte: number): void {
    if (byte === QUOTE && !this.#escaped) {
      this.#inString = false;
      if (this.#text !== undefined) this.#endText(this.#text);
      return;
    }
    this.#escaped = byte === BACKSLASH && !this.#escaped;
    if (this.#text === undefined) return;
    if (this.#length < MAX_TEXT_BYTES) this.#text[this.#length] = byte;
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
        // What is no frame is a line of somebody else's.
        if (this.#depth === 0 && byte > SPACE) this.#skip = true;
    }
  }

  #open(byte: number): void {
    if (this.#depth === 0) {
      this.#skip = byte !== OPEN_OBJECT;
      this.#keyIsNext = true;
    }
    // The list itself, and whatever is in it.
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

  /** Most of the bytes are in the rest of such frames. */
  #isEnough(): boolean {
    const type = this.#fields.get('type');
    if (type === undefined || type === 'system') return false;
    return this.#onSessionId === undefined || this.#fields.has('session_id');
  }

  #endLine(): void {
    this.#takeFrame();
    this.#fields.clear();
    this.#skip = false;
    this.#depth = 0;
    this.#inString = false;
    this.#key = '';
  }

  #takeFrame(): void {
    const type = this.#fields.get('type');
    const subtype = this.#fields.get('subtype');
    const words = [type, subtype, this.#fields.get('state')];
    if (type === 'result') this.#resultIsLast = true;
    else if (type === 'system' && subtype === 'background_tasks_changed')
      this.#hasTasks = this.#fields.get('tasks') === 'some';
    else if ([1, 2, 3].some((count) => WORK.has(words.slice(0, count).join(' '))))
      this.#resultIsLast = false;
    const id = this.#fields.get('session_id');
    if (id) {
      const tell = this.#onSessionId;
      this.#onSessionId = undefined;
      tell?.(id);
    }
  }
}
