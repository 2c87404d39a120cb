/** How much of a child's stderr {@link StderrTail.text} shows at most, in bytes. */
export const STDERR_TAIL_BYTES = 8 * 1024;

// What precedes the shown part is read as well, so that a secret or a character is seen whole before
// it is cut; what is torn at the start of that is not shown.
const CONTEXT_BYTES = STDERR_TAIL_BYTES / 2;
const WINDOW_BYTES = CONTEXT_BYTES + STDERR_TAIL_BYTES;
const CAPACITY_BYTES = 2 * STDERR_TAIL_BYTES;
const FIRST_CAPACITY_BYTES = 1024;

const REDACTED = '[redacted]';
const SECRET_MIN_LENGTH = 6;

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** The last {@link STDERR_TAIL_BYTES} of a child's stderr, in at most twice the memory. */
export class StderrTail {
  #bytes = NOTHING;
  #length = 0;

  /** Takes a copy of what it has to remember of `chunk`; amortised cost: one small copy. */
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
   * Returns the tail as text without {@link redactSecrets | secrets}, whole characters only; where it
   * had to be cut, it starts with a line, unless there is but one.
   *
   * @param secrets literal secrets, such as the {@link secretValues} of the child's environment
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
  // As a stream that never ends, it leaves out an unfinished last character.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true });
}

/** The first start of a line at or after `from`, or `from` if nothing but blanks would remain. */
function lineStart(text: string, from: number): number {
  if (from === 0 || text[from - 1] === '\n') return from;
  const next = text.indexOf('\n', from) + 1;
  return next === 0 || text.slice(next).trim() === '' ? from : next;
}

/** The length of what is left at the start of `text` of a literal secret that was cut. */
function tornSecretLength(text: string, secrets: readonly string[]): number {
  const lengths = secrets.map((secret) => {
    let length = Math.min(secret.length, text.length);
    while (!text.startsWith(secret.slice(secret.length - length))) length--;
    return length;
  });
  return Math.max(0, ...lengths);
}

type Range = readonly [start: number, end: number];

const SECRET_WORD = 'key|token|secret|passw|passphrase|_pass\\b|credential|authorization';
const SECRET_NAME = new RegExp(SECRET_WORD, 'i');

/*
 * Every pattern is linear in the length of the text: it is anchored to the start of a run of
 * characters (by a lookbehind, or by a literal that the run cannot contain), so that no two attempts
 * read the same run, and nothing that can fail follows two adjacent quantifiers of the same class.
 */
const NAME = `(?<![\\w-])(?=[\\w-]*?(?:${SECRET_WORD}))(?<name>[\\w-]+)`;
const QUOTE = String.raw`(?:\\*["'])?`;
// In escaped quotes, in double ones, in single ones, or bare; without the closing quote.
const VALUE = String.raw`(?<value>(?<=\\["'])[^"'\\\r\n]*|(?<=")(?:[^"\\\r\n]|\\.)*|(?<=')(?:[^'\\\r\n]|\\.)*|[^\s"']+)`;
const PEM_END = '-----END [A-Z ]*PRIVATE KEY-----';

/** The secret is the group `value`, or the whole match. */
const SHAPES: readonly RegExp[] = [
  // NAME=value, "name": "value", name: value, 'name' => 'value'
  new RegExp(String.raw`${NAME}${QUOTE}[ \t]*(?:=>|[:=])[ \t]*${QUOTE}${VALUE}`, 'gi'),
  // --name value, "--name","value"
  new RegExp(String.raw`(?=--)${NAME}${QUOTE}(?:,\s*|[ \t]+)${QUOTE}${VALUE}`, 'gi'),
  // Authorization: any scheme
  new RegExp(String.raw`authorization${QUOTE}[ \t]*[:=][ \t]*${QUOTE}(?<value>[^"'\r\n]+)`, 'gi'),
  /\b(?:bearer|basic)[ \t]+(?<value>[\w.~+/=-]+)/gi,
  // Anthropic, OpenAI and the like
  /(?:(?<![A-Za-z0-9])sk-|sk-ant-)[\w-]{6,}/g,
  // GitHub, GitLab, Slack, AWS, Google
  /gh[pousr]_\w{10,}|github_pat_\w{10,}|glpat-[\w-]{10,}|xox[a-z]-[\w-]{6,}/g,
  /(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{30,}/g,
  // JSON web tokens
  /(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g,
  // scheme://user:password@host
  /:\/\/(?<value>[^\s/"']+)(?=@)/g,
  // A private key, whole or unfinished, and one whose first line is missing
  new RegExp(`-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:${PEM_END}|$)`, 'g'),
  new RegExp(String.raw`(?<![\w+/=\s\\])[\w+/=\s\\]+${PEM_END}`, 'g'),
];

/**
 * Replaces with `[redacted]` each of the literal `secrets` (of 6 characters or more), and whatever
 * looks like one: values with a telling name (`API_KEY=…`, `"token": "…"`, `--password …`), bearer and
 * basic credentials, keys of well-known services, JSON web tokens, passwords in URLs, private keys.
 */
export function redactSecrets(text: string, secrets: readonly string[] = []): string {
  return mask(text, secretRanges(text, secrets));
}

/** Lists the values (of 6 characters or more) of the variables whose names look secret. */
export function secretValues(env: Readonly<Record<string, string>>): string[] {
  const values = Object.entries(env)
    .filter(([name, value]) => SECRET_NAME.test(name) && !isCount(name, value))
    .map(([, value]) => value.trim())
    .filter((value) => value.length >= SECRET_MIN_LENGTH);
  return [...new Set(values)];
}

/** `MAX_OUTPUT_TOKENS=32000` says how many, not which. */
function isCount(name: string, value: string): boolean {
  return /tokens$/i.test(name) && /^\d+\W*$/.test(value);
}

/** All ranges are found in the original text: one redaction cannot hide another secret's shape. */
function secretRanges(text: string, secrets: readonly string[]): Range[] {
  return [...shapeRanges(text), ...literalRanges(text, secrets)];
}

function shapeRanges(text: string): Range[] {
  const ranges: Range[] = [];
  for (const shape of SHAPES) {
    for (const match of text.matchAll(shape)) {
      const { name = '', value = match[0] } = match.groups ?? {};
      const end = match.index + match[0].length;
      if (!isCount(name, value)) ranges.push([end - value.length, end]);
    }
  }
  return ranges;
}

function literalRanges(text: string, secrets: readonly string[]): Range[] {
  const ranges: Range[] = [];
  for (const secret of secrets) {
    if (secret.length < SECRET_MIN_LENGTH) continue;
    let start = text.indexOf(secret);
    while (start !== -1) {
      ranges.push([start, start + secret.length]);
      start = text.indexOf(secret, start + secret.length);
    }
  }
  return ranges;
}

/** Returns `text` from `from` on, each run of overlapping or touching ranges replaced by one mark. */
function mask(text: string, ranges: Range[], from = 0): string {
  let masked = '';
  let done = from;
  for (const [start, end] of ranges.sort((a, b) => a[0] - b[0])) {
    if (end <= done || start === end) continue;
    if (start > done || masked === '') masked += text.slice(done, start) + REDACTED;
    done = end;
  }
  return masked + text.slice(done);
}
