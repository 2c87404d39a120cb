import { type SupervisedProcess, SupervisorError } from '../index.ts';
import { type JsonRpcMessage, MessageReader, serialize } from './messages.ts';

/** Whoever talks to a server. */
export interface Party {
  message(message: JsonRpcMessage): void;
  /** A line could not be read; after a fatal one, no other can. */
  unreadable(error: Error, isFatal: boolean): void;
  /** The server has ended: nothing comes any more. */
  closed(): void;
}

const CANCELLED = 'notifications/cancelled';
type Cancelled = { readonly requestId?: unknown } | undefined;

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

const channels = new WeakMap<SupervisedProcess, Channel>();

/** The one channel of a process: it is read from its first word to its last, whoever listens. */
export function channelOf(process: SupervisedProcess): Channel {
  const known = channels.get(process);
  if (known !== undefined) return known;
  const channel = new Channel(process);
  channels.set(process, channel);
  return channel;
}

/** The pipes of one server, for one party at a time. */
export class Channel {
  readonly #process: SupervisedProcess;
  readonly #reader = new MessageReader(Number.POSITIVE_INFINITY);
  readonly #waiting = new Set<Waiting>();
  /** The party's requests by their ids. */
  readonly #unanswered = new Map<string, Pick<JsonRpcMessage, 'id' | 'method'>>();
  /** The ids of requests whose party has left: the next one counts from the same number on. */
  readonly #abandoned = new Set<string>();
  #party: Party | undefined;
  #isOver = false;

  constructor(process: SupervisedProcess) {
    this.#process = process;
    const { stdin, stdout } = process;
    stdout.on('data', (chunk: Uint8Array) => this.#read(chunk));
    stdin.on('drain', () => this.#letGo((waiting) => waiting.resolve()));
    const refuse = (): void => this.#letGo((waiting) => waiting.reject(this.#notConnected()));
    stdin.once('close', refuse);
    process.once('exit', refuse);
    const dead = new Promise<void>((resolve) => process.once('exit', () => resolve()));
    const silent = new Promise<void>((resolve) => {
      stdout.once('end', resolve).once('close', resolve);
    });
    // What it had still to say is heard first, unless a descendant talks on and on.
    void Promise.race([process.exited, Promise.all([dead, silent])]).then(() => this.#end());
  }

  /** @throws SupervisorError `ALREADY_RUNNING` while another party talks to it */
  attach(party: Party, maxMessageBytes: number): void {
    if (this.#party !== undefined) {
      throw new SupervisorError(
        'ALREADY_RUNNING',
        `Process ${this.#process.pid} has a transport already, and its answers can go to one only. Close that first, or start another server.`,
        { data: { pid: this.#process.pid } },
      );
    }
    if (this.#isOver) {
      party.closed();
      return;
    }
    this.#party = party;
    this.#reader.maxBytes = maxMessageBytes;
  }

  /** Leaves the server to the next party: what was asked of it and not answered yet is cancelled. */
  detach(party: Party): void {
    if (this.#party !== party) return;
    this.#party = undefined;
    this.#letGo((waiting) => waiting.reject(new Error('Not connected: the transport was closed.')));
    for (const [key, { id, method }] of this.#unanswered) {
      this.#abandoned.add(key);
      // The one request that a client may not cancel.
      if (method !== 'initialize' && this.#process.stdin.writable)
        this.#process.stdin.write(cancellation(id));
    }
    this.#unanswered.clear();
  }

  /** Resolves when the pipe has room again; rejects if it never will. */
  async send(message: JsonRpcMessage): Promise<void> {
    const { stdin, exitCode, signalCode } = this.#process;
    if (!stdin.writable || exitCode !== null || signalCode !== null) throw this.#notConnected();
    const line = serialize(message);
    this.#note(message);
    if (stdin.write(line)) return;
    await new Promise<void>((resolve, reject) => this.#waiting.add({ resolve, reject }));
  }

  #note({ id, method, params }: JsonRpcMessage): void {
    // The client cancels it itself, and may never get an answer.
    if (method === CANCELLED) this.#unanswered.delete(String((params as Cancelled)?.requestId));
    if (method === undefined || id === undefined) return;
    this.#unanswered.set(String(id), { id, method });
    this.#abandoned.delete(String(id));
  }

  #read(chunk: Uint8Array | string): void {
    // Whoever reads it as well may have set an encoding.
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
    for (const read of this.#reader.read(bytes)) {
      // Asked for each message: any of them may make the party leave.
      if ('error' in read) this.#party?.unreadable(read.error, read.isFatal);
      else if (this.#isForParty(read.message)) this.#party?.message(read.message);
    }
  }

  /** Whether it is no late answer to a party that has left. */
  #isForParty({ id, method }: JsonRpcMessage): boolean {
    if (method !== undefined || id === undefined) return true;
    this.#unanswered.delete(String(id));
    return !this.#abandoned.delete(String(id));
  }

  #letGo(tell: (waiting: Waiting) => void): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const one of waiting) tell(one);
  }

  #end(): void {
    this.#isOver = true;
    const party = this.#party;
    this.#party = undefined;
    party?.closed();
  }

  #notConnected(): Error {
    const { exitCode, signalCode } = this.#process;
    const hasEnded = exitCode !== null || signalCode !== null;
    const how = signalCode ?? `code ${exitCode}`;
    return new Error(
      hasEnded
        ? `Not connected: the server has ended (${how}). Its last words are in the report of process.exited.`
        : 'Not connected: the server reads its stdin no more. Close this transport and make a new one.',
    );
  }
}

function cancellation(requestId: JsonRpcMessage['id']): string {
  const params = { requestId, reason: 'the client has left' };
  return serialize({ jsonrpc: '2.0', method: CANCELLED, params });
}
