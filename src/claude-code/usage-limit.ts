/** Longest frame that is read; the real one has about 400 bytes. */
const MAX_FRAME_BYTES = 16 * 1024;
const NEWLINE = 0x0a;
const TYPE = 'rate_limit_event';

/** The limit of an account's plan that an agent has run into. */
export interface UsageLimit {
  /** Its name, such as `five_hour`; `undefined` if the agent does not say. */
  readonly type: string | undefined;
  /** Wall clock, ms since 1970; `undefined` if the agent does not say. */
  readonly resetsAt: number | undefined;
}

/**
 * Finds the usage limit in an agent's stdout (`--output-format stream-json`).
 *
 * The CLI writes a `rate_limit_event` when the state of its account's limits changes (Claude Code
 * ≥ 2.1.45; measured with SDK 0.3.330, for a login by token only). Requests are refused from then on if its `status` is `rejected`, unless the account pays
 * for more (`isUsingOverage`). `resetsAt` is in seconds.
 */
export class UsageLimitReader {
  readonly #onLimit: (limit: UsageLimit) => void;
  /** The beginning of a line that goes on in the next chunk; `undefined` if it is too long to matter. */
  #begun: Buffer | undefined = Buffer.alloc(0);

  constructor(onLimit: (limit: UsageLimit) => void) {
    this.#onLimit = onLimit;
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const first = bytes.indexOf(NEWLINE);
    if (first < 0) {
      this.#begun = this.#joined(bytes);
      return;
    }
    const line = this.#joined(bytes.subarray(0, first));
    if (line !== undefined) this.#read(line);
    const last = bytes.lastIndexOf(NEWLINE);
    const between = bytes.subarray(first + 1, last);
    // From a fast agent hundreds of frames arrive at once, and hardly one is about limits.
    if (between.includes(TYPE))
      for (const one of between.toString('utf8').split('\n')) this.#read(one);
    this.#begun = Buffer.alloc(0);
    this.#begun = this.#joined(bytes.subarray(last + 1));
  }

  #joined(bytes: Buffer): Buffer | undefined {
    if (this.#begun === undefined || this.#begun.length + bytes.length > MAX_FRAME_BYTES)
      return undefined;
    return Buffer.concat([this.#begun, bytes]);
  }

  #read(line: Buffer | string): void {
    if (!line.includes(TYPE)) return;
    const limit = usageLimitIn(String(line));
    if (limit !== undefined) this.#onLimit(limit);
  }
}

/** The usage limit that a line of an agent's stdout reports, if it does. */
function usageLimitIn(line: string): UsageLimit | undefined {
  try {
    const { type, rate_limit_info: info } = JSON.parse(line);
    if (type !== TYPE || info.status !== 'rejected' || info.isUsingOverage === true)
      return undefined;
    const { resetsAt, rateLimitType } = info;
    return {
      type: typeof rateLimitType === 'string' ? rateLimitType : undefined,
      resetsAt: Number.isFinite(resetsAt) && resetsAt > 0 ? resetsAt * 1000 : undefined,
    };
  } catch {
    // A line that is no JSON object is not the agent's message.
    return undefined;
  }
}
