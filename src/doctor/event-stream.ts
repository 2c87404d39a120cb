import type { ReadableStreamDefaultController, UnderlyingSource } from 'node:stream/web';
import type { SupervisorEvent } from '../events.ts';
import type { Supervisor } from '../index.ts';
import { safeJson } from '../inspect/safe-json.ts';
import type { Clock } from '../os/clock.ts';
import { type Confidential, EVENT_NAMES, publicEvent } from './public-event.ts';

/** Limits of the queue of a slow client; above them, its oldest events are dropped. */
const MAX_QUEUED_FRAMES = 1000;
const MAX_QUEUED_LENGTH = 256 * 1024;
const HEARTBEAT_MS = 15_000;
/** A client with queued events that skips this many heartbeats is disconnected. */
const MAX_MISSED_HEARTBEATS = 4;
/** A browser reconnects after this time when its stream has ended. */
const RETRY_MS = 2000;

const encoder = new TextEncoder();

interface StreamsOptions {
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly maxStreams: number;
  /** Returns the texts that no event may show, read now. */
  confidential(): Confidential;
}

/** Sends a supervisor's events to every client; listens to them only while there is a client. */
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

  /** Opens one more stream of server-sent events; `undefined` at the limit. */
  open(): ReadableStream<Uint8Array> | undefined {
    if (this.#clients.size >= this.#options.maxStreams) return undefined;
    const client = new Client(() => this.#remove(client));
    client.push(`retry: ${RETRY_MS}\n${frame('hello', { version: 1, lastId: this.#lastId })}`);
    this.#clients.add(client);
    if (this.#clients.size === 1) this.#listen();
    return client.body;
  }

  /** Number of open streams. */
  get size(): number {
    return this.#clients.size;
  }

  #remove(client: Client): void {
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
      supervisor.on(name, (detail) => this.#broadcast(name, detail)),
    );
    this.#beat();
  }

  #broadcast<E extends SupervisorEvent>(
    name: E,
    detail: Parameters<typeof publicEvent<E>>[1],
  ): void {
    // Cached, since a burst of events would read the environment for each of them.
    this.#confidential ??= this.#options.confidential();
    const shown = publicEvent(name, detail, this.#confidential);
    const text = `id: ${++this.#lastId}\n${frame(name, shown)}`;
    for (const client of this.#clients) client.push(text);
    // A host that has stopped its supervisor wants to exit; open streams would keep it alive.
    if (name === 'stopped') for (const client of [...this.#clients]) client.end();
  }

  #beat(): void {
    this.#cancelHeartbeat = this.#options.clock.after(HEARTBEAT_MS, () => {
      // The environment may have changed: read it again with the next event.
      this.#confidential = undefined;
      for (const client of [...this.#clients]) client.beat();
      if (this.#clients.size > 0) this.#beat();
    });
  }
}

function frame(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${safeJson(data)}\n\n`;
}

/** One stream, with a bounded queue of the events that its client has not read yet. */
class Client {
  readonly body: ReadableStream<Uint8Array>;
  readonly #onClosed: () => void;
  #queue: string[] = [];
  #length = 0;
  #dropped = 0;
  #missedHeartbeats = 0;
  #resolvePull: (() => void) | undefined;
  #ended = false;

  constructor(onClosed: () => void) {
    this.#onClosed = onClosed;
    const source: UnderlyingSource<Uint8Array> = {
      pull: (controller) => this.#pull(controller as ReadableStreamDefaultController<Uint8Array>),
      cancel: () => this.#close(),
    };
    // 0, so that events wait in the bounded queue and not in the stream's own.
    this.body = new ReadableStream(source, { highWaterMark: 0 });
  }

  push(text: string): void {
    this.#queue.push(text);
    this.#length += text.length;
    while (this.#queue.length > MAX_QUEUED_FRAMES || this.#length > MAX_QUEUED_LENGTH) {
      this.#length -= this.#queue.shift()?.length ?? 0;
      this.#dropped++;
    }
    this.#resolvePull?.();
  }

  beat(): void {
    if (this.#queue.length === 0) this.push(':\n\n');
    else if (++this.#missedHeartbeats >= MAX_MISSED_HEARTBEATS) this.end();
  }

  /** Ends the stream after its queued events; at once where the client does not read. */
  end(): void {
    if (this.#resolvePull === undefined && this.#missedHeartbeats > 0) this.#queue = [];
    this.#close();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#missedHeartbeats = 0;
    if (this.#queue.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#resolvePull = resolve;
      });
      this.#resolvePull = undefined;
    }
    const lagged = this.#dropped > 0 ? frame('lagged', { dropped: this.#dropped }) : '';
    const text = lagged + this.#queue.join('');
    this.#queue = [];
    this.#length = 0;
    this.#dropped = 0;
    if (text !== '') controller.enqueue(encoder.encode(text));
    if (this.#ended) controller.close();
  }

  #close(): void {
    this.#ended = true;
    this.#resolvePull?.();
    this.#onClosed();
  }
}
