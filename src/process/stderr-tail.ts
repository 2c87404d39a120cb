import { mask, secretRanges } from './redaction.ts';

/** Maximum length of {@link StderrTail.text}, in bytes. */
export const STDERR_TAIL_BYTES = 8 * 1024;

// The part before the shown tail is kept as well, so that a secret or a character is seen whole before it is
// cut. A torn secret or character at its start is not shown.
const CONTEXT_BYTES = STDERR_TAIL_BYTES / 2;
const WINDOW_BYTES = CONTEXT_BYTES + STDERR_TAIL_BYTES;
const CAPACITY_BYTES = 2 * STDERR_TAIL_BYTES;
const FIRST_CAPACITY_BYTES = 1024;

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** The last {@link STDERR_TAIL_BYTES} of a child's stderr, in at most twice the memory. */
export class StderrTail {
  #bytes = NOTHING;
  #length = 0;

  /** Copies the part of `chunk` that it has to remember; amortised cost: one small copy. */
  push(chunk: Uint8Array | string): void {
    const bytes = typeof chunk === 'string' ? encoder.encode(chunk.slice(-WINDOW_BYTES)) : chunk;
    const recent = bytes.subarray(-WINDOW_BYTES);
    if (this.#length + recent.length > CAPACITY_BYTES) this.#forget(WINDOW_BYTES - recent.length);
    this.#reserve(this.#length + recent.length);
    this.#bytes.set(recent, this.#length);
    this.#length += recent.length;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * Returns the tail as text without secrets, in whole characters.
   *
   * A tail that had to be cut starts at the start of a line, unless it holds only one.
   *
   * @param secrets literal secrets, such as the secret values of the child's environment
   */
  text(secrets: readonly string[] = []): string {
    const window = this.#bytes.subarray(Math.max(0, this.#length - WINDOW_BYTES), this.#length);
    const text = decode(window);
    const ranges = secretRanges(text, secrets);
    if (window.length === WINDOW_BYTES) ranges.push([0, tornSecretLength(text, secrets)]);
    const context = window.subarray(0, Math.max(0, window.length - STDERR_TAIL_BYTES));
    return mask(text, ranges, lineStart(text, decode(context).length));
  }

  /** Forgets all but the last `keep` bytes. */
  #forget(keep: number): void {
    this.#bytes.copyWithin(0, this.#length - keep, this.#length);
    this.#length = keep;
  }

  #reserve(capacity: number): void {
    if (capacity <= this.#bytes.length) return;
    const roomy = Math.max(capacity, 2 * this.#bytes.length, FIRST_CAPACITY_BYTES);
    const grown = new Uint8Array(Math.min(roomy, CAPACITY_BYTES));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

function decode(bytes: Uint8Array): string {
  // In stream mode the decoder leaves out an unfinished last character.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}

/** Returns the first start of a line at or after `from`, or `from` if only blanks would remain. */
function lineStart(text: string, from: number): number {
  if (from === 0 || text[from - 1] === '\n') return from;
  const next = text.indexOf('\n', from) + 1;
  return next === 0 || text.slice(next).trim() === '' ? from : next;
}

/** Returns the length of the part of a cut literal secret at the start of `text`. */
function tornSecretLength(text: string, secrets: readonly string[]): number {
  const lengths = secrets.map((secret) => {
    let length = Math.min(secret.length, text.length);
    while (!text.startsWith(secret.slice(secret.length - length))) length--;
    return length;
  });
  return Math.max(0, ...lengths);
}
