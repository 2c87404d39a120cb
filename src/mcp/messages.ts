import { redactSecrets } from '../process/redaction.ts';

/** A JSON-RPC request, notification or response, with the fields that a transport reads. */
export interface JsonRpcMessage {
  readonly jsonrpc: '2.0';
  readonly id?: string | number | undefined;
  readonly method?: string | undefined;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** One parsed line of a server's stdout. After a fatal error the connection is closed. */
export type Read =
  | { readonly message: JsonRpcMessage }
  | { readonly error: Error; readonly isFatal: boolean };

const NEWLINE = 0x0a;
/** Characters of a bad line that its error quotes. */
const SHOWN_LENGTH = 80;

/** Splits a server's stdout into lines, and parses the messages in them. */
export class MessageReader {
  /** Most bytes in a line. */
  maxBytes: number;
  readonly #parts: Uint8Array[] = [];
  #length = 0;
  /** Skips the rest of a line that was too long. */
  #isSkipping = false;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Yields the messages that `chunk` completes. The caller must iterate to the end. */
  *read(chunk: Uint8Array): Generator<Read> {
    for (let start = 0; start < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, start);
      const end = newline === -1 ? chunk.length : newline;
      if (!this.#isSkipping && this.#length + end - start > this.maxBytes) {
        this.#clear();
        this.#isSkipping = true;
        yield { error: tooLong(this.maxBytes), isFatal: true };
      }
      if (!this.#isSkipping) {
        this.#parts.push(chunk.subarray(start, end));
        this.#length += end - start;
      }
      start = end + 1;
      if (newline === -1) return;
      const line = this.#clear();
      if (!this.#isSkipping && line.trim() !== '') yield parse(line);
      this.#isSkipping = false;
    }
  }

  /** Returns the line so far, and clears it. */
  #clear(): string {
    const decoder = new TextDecoder();
    // A character may be split between two parts.
    const line = this.#parts.map((part) => decoder.decode(part, { stream: true })).join('');
    this.#parts.length = 0;
    this.#length = 0;
    return line + decoder.decode();
  }
}

/** Formats a message as one line. */
export function serialize(message: JsonRpcMessage): string {
  return `${JSON.stringify(message)}\n`;
}

function parse(line: string): Read {
  try {
    const value: unknown = JSON.parse(line);
    if (isMessage(value)) return { message: value };
  } catch {
    // Not the parser's message, which would quote more of the line.
  }
  const shown = redactSecrets(line.trim()).slice(0, SHOWN_LENGTH);
  const advice = 'A server logs to stderr.';
  const error = new Error(`The server's stdout is no JSON-RPC message: ${shown}. ${advice}`);
  return { error, isFatal: false };
}

function isMessage(value: unknown): value is JsonRpcMessage {
  const { jsonrpc, id, method, result, error } = (value ?? {}) as Record<string, unknown>;
  if (jsonrpc !== '2.0') return false;
  const hasId = typeof id === 'string' || Number.isInteger(id);
  if (typeof method === 'string') return hasId || id === undefined;
  return isObject(error) ? hasId || id === undefined : hasId && isObject(result);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function tooLong(maxBytes: number): Error {
  return new Error(
    `The server's message is longer than ${maxBytes} bytes, and the connection is closed. Raise maxBufferSize if such messages are to be read.`,
  );
}
