import type { ReadableStreamDefaultController, UnderlyingSource } from 'node:stream/web';
import type { SupervisorEvent } from '../events.ts';
import type { Supervisor } from '../index.ts';
import { safeJson } from '../inspect/safe-json.ts';
import type { Clock } from '../os/clock.ts';
import { type Confidential, EVENT_NAMES, publicEvent } from './public-event.ts';

/** How much waits for a client that reads more slowly than we write, before its oldest is dropped. */
const MAX_QUEUED_FRAMES = 1000;
const MAX_QUEUED_LENGTH = 256 * 1024;
const HEARTBEAT_MS = 15_000;
/** So many heartbeats without a read, and something to read, end a client's stream. */
const MAX_MISSED_HEARTBEATS = 4;
/** When a browser comes back after its stream has ended. */
const RETRY_MS = 2000;

const encoder = new TextEncoder();

interface StreamsOptions {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly maxStreams: number;
  /** What no event may show, as of now. */
  confidential(): Confidential;
}

/** Sends a supervisor's events to all who follow them; listens only while somebody does. */
export class EventStreams {
  readonly #options: StreamsOptions;
  readonly #clients = new Set<Client>();
  #offs: (() => void)[] = [];
  #cancelHeartbeat: () => void = () => undefined;
  #lastId = 0;
  #confidential: Confidential | undefined;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Opens one more stream of server-sent events; `undefined` when there are enough. */
  open(): ReadableStream<Uint8Array> | undefined {
    if (this.#clients.size >= this.#options.maxStreams) return undefined;
    const client = new Client(() => this.#left(client));
    client.push(`retry: ${RETRY_MS}\n${frame('hello', { version: 1, lastId: this.#lastId })}`);
    this.#clients.add(client);
    if (this.#clients.size === 1) this.#listen();
    return client.body;
  }

  /** How many follow the events. */
  get size(): number {
    return this.#clients.size;
  }

  #left(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    for (const off of this.#offs) off();
    this.#offs = [];
    this.#confidential = undefined;
    this.#cancelHeartbeat();
  }

  #listen(): void {
    const { supervisor } = this.#options;
    this.#offs = EVENT_NAMES.map((name) =>
      supervisor.on(name, (detail) => this.#tell(name, detail)),
    );
    this.#beat();
  }

  #tell<E extends SupervisorEvent>(name: E, detail: Parameters<typeof publicEvent<E>>[1]): void {
    // Made once for all of them.
    this.#confidential ??= this.#options.confidential();
    const shown = publicEvent(name, detail, this.#confidential);
    const text = `id: ${++this.#lastId}\n${frame(name, shown)}`;
    for (const client of this.#clients) client.push(text);
    // A stopped supervisor's host may be about to end: no stream of ours is in its way.
    if (name === 'stopped') for (const client of [...this.#clients]) client.end();
  }

  #beat(): void {
    this.#cancelHeartbeat = this.#options.clock.after(HEARTBEAT_MS, () => {
      // The environment is read again with the next event.
      this.#confidential = undefined;
      for (const client of [...this.#clients]) client.beat();
      if (this.#clients.size > 0) this.#beat();
    });
  }
}

function frame(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${safeJson(data)}\n\n`;
}

/** One stream: what it has not read yet waits in a bounded queue. */
class Client {
  readonly body: ReadableStream<Uint8Array>;
  readonly #onLeft: () => void;
  #queue: string[] = [];
  #length = 0;
  #dropped = 0;
  #missedHeartbeats = 0;
  #wanted: (() => void) | undefined;
  #ended = false;

  constructor(onLeft: () => void) {
    this.#onLeft = onLeft;
    const source: UnderlyingSource<Uint8Array> = {
      pull: (controller) => this.#pull(controller as ReadableStreamDefaultController<Uint8Array>),
      cancel: () => this.#leave(),
    };
    // Nothing is made before it is asked for: what waits, waits in our own queue.
    this.body = new ReadableStream(source, { highWaterMark: 0 });
  }

  push(text: string): void {
    this.#queue.push(text);
    this.#length += text.length;
    while (this.#queue.length > MAX_QUEUED_FRAMES || this.#length > MAX_QUEUED_LENGTH) {
      this.#length -= this.#queue.shift()?.length ?? 0;
      this.#dropped++;
    }
    this.#wanted?.();
  }

  beat(): void {
    if (this.#queue.length === 0) this.push(':\n\n');
    else if (++this.#missedHeartbeats >= MAX_MISSED_HEARTBEATS) this.end();
  }

  /** Ends it as soon as it has read what waits; at once where it does not read. */
  end(): void {
    if (this.#wanted === undefined && this.#missedHeartbeats > 0) this.#queue = [];
    this.#ended = true;
    this.#wanted?.();
    this.#leave();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#missedHeartbeats = 0;
    if (this.#queue.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wanted = resolve;
      });
      this.#wanted = undefined;
    }
    const lagged = this.#dropped > 0 ? frame('lagged', { dropped: this.#dropped }) : '';
    const text = lagged + this.#queue.join('');
    this.#queue = [];
    this.#length = 0;
    this.#dropped = 0;
    if (text !== '') controller.enqueue(encoder.encode(text));
    if (this.#ended) controller.close();
  }

  #leave(): void {
    this.#ended = true;
    this.#wanted?.();
    this.#onLeft();
  }
}
