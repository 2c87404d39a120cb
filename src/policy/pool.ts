import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { type Clock, queueMicrotask } from '../os/clock.ts';
import type { PoolPause } from '../reports.ts';
import { enterAll, Gate, Gates } from './gate.ts';
import { isBefore } from './line.ts';
import { Pause } from './pause.ts';
import { PoolEntry, type SlotRequest } from './pool-entry.ts';
import { capOf, capOfKey, type PoolLimits } from './pool-options.ts';
import { aborted, queueFull } from './pool-refusals.ts';
import { Slot } from './slot.ts';

export type PoolSize = Pick<PoolLimits, 'concurrency' | 'hardCap' | 'hardCapCounts'>;

export interface PoolContext {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly options: PoolLimits;
}

/** Grants slots and keys, all that a request needs together: in order of arrival within a priority. */
export class Pool {
  readonly #context: PoolContext;
  #limits: PoolLimits;
  readonly #open = new Gate<PoolEntry>('start', Number.POSITIVE_INFINITY);
  readonly #unpaused = new Gate<PoolEntry>('pause', Number.POSITIVE_INFINITY);
  readonly #slots: Gate<PoolEntry>;
  /** What most requests have to pass. */
  readonly #usual: readonly Gate<PoolEntry>[];
  readonly #keys = new Gates<PoolEntry>('key', (key) => this.#limitOfKey(key));
  readonly #starting = new Gates<PoolEntry>('starting', (kind) => this.#limitOfStarts(kind));
  readonly #pause: Pause;
  readonly #queue: ConstructorParameters<typeof PoolEntry>[3];
  /** In order of arrival. */
  readonly #waiting = new Set<PoolEntry>();
  /** The gates that may have opened, and those whose line has another head. */
  readonly #woken = new Set<Gate<PoolEntry>>();
  readonly #looked = new Set<Gate<PoolEntry>>();
  #isHandingOut = false;
  #arrivals = 0;

  constructor(context: PoolContext) {
    this.#context = context;
    this.#limits = context.options;
    this.#slots = new Gate('slot', context.options.concurrency);
    this.#usual = [this.#open, this.#unpaused, this.#slots];
    this.#queue = { clock: context.clock, left: (entry) => this.#left(entry) };
    this.#pause = new Pause(context.clock, (pause) => this.#resumed(pause));
  }

  get size(): PoolSize {
    return this.#limits;
  }

  get concurrency(): number {
    return this.#slots.limit;
  }

  /** Number of slots held now. */
  get held(): number {
    return this.#slots.held;
  }

  /** In order of arrival. */
  get waiting(): ReadonlySet<PoolEntry> {
    return this.#waiting;
  }

  /** The waiting requests, in the order in which they go as soon as they may. */
  get queue(): readonly PoolEntry[] {
    return [...this.#waiting].sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  get oldestWaitMs(): number | undefined {
    for (const { sinceMs } of this.#waiting) return this.#context.clock.monotonicMs() - sinceMs;
    return undefined;
  }

  /** The keys that somebody holds or waits for. */
  get keys(): Iterable<Gate<PoolEntry>> {
    return this.#keys;
  }

  get paused(): PoolPause | undefined {
    return this.#pause.current;
  }

  /** A pool that is not ready grants nothing. */
  get ready(): boolean {
    return this.#open.isOpen;
  }

  set ready(ready: boolean) {
    this.#open.limit = ready ? Number.POSITIVE_INFINITY : 0;
    this.#wake(this.#open);
  }

  /** Changes the size; holders of surplus slots keep them until their release. */
  resize(size: PoolSize): void {
    this.configure({ ...this.#limits, ...size });
  }

  /** Takes new limits; what is held stays held. */
  configure(limits: PoolLimits): void {
    this.#limits = limits;
    this.#slots.limit = limits.concurrency;
    this.#keys.setLimits((key) => this.#limitOfKey(key));
    this.#starting.setLimits((kind) => this.#limitOfStarts(kind));
    for (const gate of [this.#slots, ...this.#keys, ...this.#starting]) this.#wake(gate);
  }

  /** Grants no more slots, until then or until `resume`. */
  pause(reason: string, until: number | undefined): void {
    this.#unpaused.limit = 0;
    const { since: _, ...pause } = this.#pause.begin(reason, until);
    this.#context.emit('pool-paused', pause);
  }

  /** Pauses until then, if no pause lasts as long already. */
  pauseAtLeast(reason: string, until: number): void {
    const { current } = this.#pause;
    if (current !== undefined && (current.until ?? Number.POSITIVE_INFINITY) >= until) return;
    this.pause(reason, until);
  }

  resume(): void {
    this.#pause.end();
  }

  /** Asks for all that a request needs. Returns it, a place in the queue, or a refusal. */
  ask(request: SlotRequest): Slot | PoolEntry | SupervisorError {
    const gates = this.#gatesOf(request);
    if (request.held !== undefined && gates.length === 0) return request.held;
    for (const gate of gates) gate.use();
    const answer = this.#answer(request, gates);
    if (answer instanceof SupervisorError) for (const gate of gates) gate.disuse();
    // What it told its asker may have brought an answer already.
    return (answer instanceof PoolEntry && answer.answer) || answer;
  }

  /** Refuses every request in the queue that `matches`. */
  refuse(matches: (request: SlotRequest) => boolean, error: () => SupervisorError): void {
    for (const entry of [...this.#waiting]) if (matches(entry.request)) entry.refuse(error());
  }

  /** All that a request has to pass; the last one is asked last. */
  #gatesOf({ needsSlot, keys, kind, held }: SlotRequest): readonly Gate<PoolEntry>[] {
    const isBounded = kind !== undefined && capOf(kind, this.#limits.startingPerKind) !== undefined;
    if (!isBounded && needsSlot && !keys?.length && held === undefined) return this.#usual;
    const gates: Gate<PoolEntry>[] = [];
    if (held === undefined) {
      gates.push(this.#open);
      if (needsSlot) gates.push(this.#unpaused);
      if (keys !== undefined) for (const key of new Set(keys)) gates.push(this.#keys.of(key));
    }
    if (isBounded) gates.push(this.#starting.of(kind));
    if (held === undefined && needsSlot) gates.push(this.#slots);
    return gates;
  }

  #answer(
    request: SlotRequest,
    gates: readonly Gate<PoolEntry>[],
  ): Slot | PoolEntry | SupervisorError {
    if (request.signal?.aborted) return aborted(request.signal);
    const closed = this.#closedTo(gates);
    if (closed === undefined) return this.#slotOf(request, gates);
    return this.#refusal(request) ?? this.#enqueue(request, gates, closed);
  }

  /** Passes the gates unless somebody waits who may go first; else returns the one to wait for. */
  #closedTo(gates: readonly Gate<PoolEntry>[]): Gate<PoolEntry> | undefined {
    if (this.#woken.size === 0 && gates.every(({ line }) => line.isEmpty)) return enterAll(gates);
    return gates.find(({ isOpen }) => !isOpen) ?? gates.at(-1);
  }

  #refusal({ needsSlot }: SlotRequest): SupervisorError | undefined {
    const { maxWaiting } = this.#limits;
    if (maxWaiting === undefined || !needsSlot) return undefined;
    // Before the start, those who are about to get a free slot wait as well.
    const free = this.ready ? 0 : Math.max(0, this.concurrency - this.held);
    let waiting = 0;
    for (const { request } of this.#waiting) if (request.needsSlot) waiting += 1;
    return waiting < maxWaiting + free ? undefined : queueFull(waiting, maxWaiting);
  }

  #enqueue(
    request: SlotRequest,
    gates: readonly Gate<PoolEntry>[],
    closed: Gate<PoolEntry>,
  ): PoolEntry {
    const entry = new PoolEntry(request, gates, ++this.#arrivals, this.#queue);
    this.#waiting.add(entry);
    entry.waitAt(closed);
    if (closed.isOpen) this.#wake(closed);
    else if (this.ready) closed.line.first?.tellHead();
    return entry;
  }

  /** An entry has left its line, without a grant. */
  #left(entry: PoolEntry): void {
    this.#waiting.delete(entry);
    for (const gate of entry.gates) gate.disuse();
    // Another one may be at the head now.
    this.#wake(entry.gate);
  }

  #slotOf({ held }: SlotRequest, gates: readonly Gate<PoolEntry>[]): Slot {
    const starting = gates.find(({ waitsFor }) => waitsFor.cause === 'starting');
    if (starting === undefined && held === undefined) return new Slot(() => this.#leave(gates));
    const others = gates.filter((gate) => gate !== starting);
    const release = (): void => {
      this.#leave(others);
      held?.release();
    };
    return new Slot(release, starting && (() => this.#leave([starting])));
  }

  #leave(gates: readonly Gate<PoolEntry>[]): void {
    for (const gate of gates) gate.leave();
    for (const gate of gates) {
      this.#wake(gate);
      gate.disuse();
    }
  }

  #resumed({ reason, since }: PoolPause): void {
    this.#unpaused.limit = Number.POSITIVE_INFINITY;
    this.#wake(this.#unpaused);
    const pausedMs = Math.max(0, this.#context.clock.now() - since);
    this.#context.emit('pool-resumed', { reason, pausedMs });
  }

  /** Looks at the line of a gate, in a microtask: all that is released in one tick counts together. */
  #wake(gate: Gate<PoolEntry>): void {
    if (gate.line.isEmpty) return;
    this.#woken.add(gate);
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    queueMicrotask(() => this.#handOut());
  }

  #handOut(): void {
    for (let entry = this.#next(); entry !== undefined; entry = this.#next()) this.#proceed(entry);
    this.#isHandingOut = false;
    if (this.ready)
      for (const { line, isOpen } of this.#looked) if (!isOpen) line.first?.tellHead();
    this.#looked.clear();
  }

  /** The first of all in the lines of gates that have opened. */
  #next(): PoolEntry | undefined {
    let best: PoolEntry | undefined;
    for (const gate of this.#woken) {
      const first = gate.isOpen ? gate.line.first : undefined;
      if (first === undefined) {
        this.#woken.delete(gate);
        this.#looked.add(gate);
      } else if (best === undefined || isBefore(first, best)) best = first;
    }
    return best;
  }

  /** Grants a request all that it needs, or lets it wait for the gate that is closed. */
  #proceed(entry: PoolEntry): void {
    const closed = enterAll(entry.gates);
    if (closed === undefined) {
      this.#waiting.delete(entry);
      entry.grant(this.#slotOf(entry.request, entry.gates));
      return;
    }
    this.#looked.add(closed);
    entry.waitAt(closed);
  }

  #limitOfKey(key: string): number {
    return capOfKey(key, this.#limits.perKey) ?? Number.POSITIVE_INFINITY;
  }

  #limitOfStarts(kind: string): number {
    return capOf(kind, this.#limits.startingPerKind) ?? Number.POSITIVE_INFINITY;
  }
}
