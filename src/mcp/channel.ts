import { type SupervisedProcess, SupervisorError } from '../index.ts';
import { type JsonRpcMessage, MessageReader, serialize } from './messages.ts';

/** Callbacks of the transport that uses a channel. */
export interface ChannelUser {
  message(message: JsonRpcMessage): void;
  /** Called for a line that is no message; after a fatal error no other line can be read. */
  unreadable(error: Error, isFatal: boolean): void;
  /** Called once, when the server has exited and its stdout is read to the end. */
  closed(): void;
}

const CANCELLED = 'notifications/cancelled';
type Cancelled = { readonly requestId?: unknown } | undefined;

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

const channels = new WeakMap<SupervisedProcess, Channel>();

/** Returns the channel of a process, which reads its stdout even while no transport is attached. */
export function channelOf(process: SupervisedProcess): Channel {
  const known = channels.get(process);
  if (known !== undefined) return known;
  const channel = new Channel(process);
  channels.set(process, channel);
  return channel;
}

/** Messages over the pipes of one server, for one transport at a time. */
export class Channel {
  readonly #process: SupervisedProcess;
  readonly #reader = new MessageReader(Number.POSITIVE_INFINITY);
  readonly #waiting = new Set<Waiting>();
  /** Requests of the attached transport, by id. */
  readonly #unanswered = new Map<string, Pick<JsonRpcMessage, 'id' | 'method'>>();
  /** Ids of requests of detached transports. The next client reuses ids, so late answers are dropped. */
  readonly #abandoned = new Set<string>();
  #user: ChannelUser | undefined;
  #isOver = false;

  constructor(process: SupervisedProcess) {
    this.#process = process;
    const { stdin, stdout } = process;
    stdout.on('data', (chunk: Uint8Array) => this.#read(chunk));
    stdin.on('drain', () => this.#settleSends((waiting) => waiting.resolve()));
    const rejectSends = (): void =>
      this.#settleSends((waiting) => waiting.reject(this.#notConnected()));
    stdin.once('close', rejectSends);
    process.once('exit', rejectSends);
    const dead = new Promise<void>((resolve) => process.once('exit', () => resolve()));
    const silent = new Promise<void>((resolve) => {
      stdout.once('end', resolve).once('close', resolve);
    });
    // Read stdout to its end first. A descendant may hold it open; then `exited` decides.
    void Promise.race([process.exited, Promise.all([dead, silent])]).then(() => this.#end());
  }

  /** @throws SupervisorError `ALREADY_RUNNING` while another transport is attached */
  attach(user: ChannelUser, maxMessageBytes: number): void {
    if (this.#user !== undefined) {
      throw new SupervisorError(
        'ALREADY_RUNNING',
        `Process ${this.#process.pid} has a transport already, and its answers can go to one only. Close that first, or start another server.`,
        { data: { pid: this.#process.pid } },
      );
    }
    if (this.#isOver) {
      user.closed();
      return;
    }
    this.#user = user;
    this.#reader.maxBytes = maxMessageBytes;
  }

  /** Frees the channel for the next transport, and cancels requests without an answer. */
  detach(user: ChannelUser): void {
    if (this.#user !== user) return;
    this.#user = undefined;
    this.#settleSends((waiting) =>
      waiting.reject(new Error('Not connected: the transport was closed.')),
    );
    for (const [key, { id, method }] of this.#unanswered) {
      this.#abandoned.add(key);
      // The protocol forbids to cancel `initialize`.
      if (method !== 'initialize' && this.#process.stdin.writable)
        this.#process.stdin.write(cancellation(id));
    }
    this.#unanswered.clear();
  }

  /** Resolves when the pipe has room again; rejects when the server exits or closes its stdin. */
  async send(message: JsonRpcMessage): Promise<void> {
    const { stdin, exitCode, signalCode } = this.#process;
    if (!stdin.writable || exitCode !== null || signalCode !== null) throw this.#notConnected();
    const line = serialize(message);
    this.#note(message);
    if (stdin.write(line)) return;
    await new Promise<void>((resolve, reject) => this.#waiting.add({ resolve, reject }));
  }

  #note({ id, method, params }: JsonRpcMessage): void {
    // A request that the client cancels itself may never be answered.
    if (method === CANCELLED) this.#unanswered.delete(String((params as Cancelled)?.requestId));
    if (method === undefined || id === undefined) return;
    this.#unanswered.set(String(id), { id, method });
    this.#abandoned.delete(String(id));
  }

  #read(chunk: Uint8Array | string): void {
    // Another reader of the same stream may have set an encoding.
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
    for (const read of this.#reader.read(bytes)) {
      // Read `#user` for each message: any of them may make it detach.
      if ('error' in read) this.#user?.unreadable(read.error, read.isFatal);
      else if (this.#isForUser(read.message)) this.#user?.message(read.message);
    }
  }

  /** `false` for a late answer to a transport that is detached. */
  #isForUser({ id, method }: JsonRpcMessage): boolean {
    if (method !== undefined || id === undefined) return true;
    this.#unanswered.delete(String(id));
    return !this.#abandoned.delete(String(id));
  }

  #settleSends(settle: (waiting: Waiting) => void): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const one of waiting) settle(one);
  }

  #end(): void {
    this.#isOver = true;
    const user = this.#user;
    this.#user = undefined;
    user?.closed();
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
