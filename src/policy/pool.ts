import { SupervisorError } from '../errors.ts';
import type { Emit } from '../events.ts';
import { type Clock, queueMicrotask } from '../os/clock.ts';
import type { PoolPause } from '../reports.ts';
import type { Condition } from './condition.ts';
import { ConditionSemaphore } from './condition-semaphore.ts';
import { isBefore } from './line.ts';
import { MachineSemaphore } from './machine-semaphore.ts';
import type { MachineSlots } from './machine-slots.ts';
import { Pause } from './pause.ts';
import { PoolEntry, type SlotRequest } from './pool-entry.ts';
import { capOf, capOfKey, type PoolLimits } from './pool-options.ts';
import { aborted, failed, queueFull } from './pool-refusals.ts';
import { acquireAll, firstFull, Semaphore, Semaphores } from './semaphore.ts';
import { Slot } from './slot.ts';

export type PoolSize = Pick<PoolLimits, 'concurrency' | 'hardCap' | 'hardCapCounts'>;

export interface PoolContext {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly options: PoolLimits;
  /** The slots that all hosts of the machine share; `undefined` where there is no such limit. */
  machine?(): MachineSlots | undefined;
}

/** Grants slots and keys, all that a request needs together: in order of arrival within a priority. */
export class Pool {
  readonly #context: PoolContext;
  #limits: PoolLimits;
  readonly #open = new Semaphore<PoolEntry>('start', Number.POSITIVE_INFINITY);
  readonly #unpaused = new Semaphore<PoolEntry>('pause', Number.POSITIVE_INFINITY);
  readonly #slots: Semaphore<PoolEntry>;
  readonly #machine: MachineSemaphore;
  /** The conditions that requests wait for. */
  readonly #lacking = new Set<ConditionSemaphore>();
  /** All that most requests need. */
  readonly #usual: readonly Semaphore<PoolEntry>[];
  /** The same, and a condition. */
  readonly #usualWith = new WeakMap<Condition, readonly Semaphore<PoolEntry>[]>();
  readonly #keys = new Semaphores<PoolEntry>('key', (key) => this.#limitOfKey(key));
  readonly #starting = new Semaphores<PoolEntry>('starting', (kind) => this.#limitOfStarts(kind));
  readonly #pause: Pause;
  readonly #queue: ConstructorParameters<typeof PoolEntry>[3];
  /** In order of arrival. */
  readonly #waiting = new Set<PoolEntry>();
  /** The semaphores that may have room now, and those whose line has another head. */
  readonly #woken = new Set<Semaphore<PoolEntry>>();
  readonly #looked = new Set<Semaphore<PoolEntry>>();
  #isHandingOut = false;
  #arrivals = 0;

  constructor(context: PoolContext) {
    this.#context = context;
    this.#limits = context.options;
    this.#slots = new Semaphore('slot', context.options.concurrency);
    this.#machine = new MachineSemaphore(
      () => context.machine?.(),
      () => this.#retryMachine(),
    );
    this.#usual = [this.#open, this.#unpaused, this.#slots, this.#machine];
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
  get keys(): Iterable<Semaphore<PoolEntry>> {
    return this.#keys;
  }

  /** The reason why the machine has no slot for this host, as a clause; `undefined` if it is not asked. */
  get machineObstacle(): string | undefined {
    return this.#machine.obstacle;
  }

  get paused(): PoolPause | undefined {
    return this.#pause.current;
  }

  /** A pool that is not ready grants nothing. */
  get ready(): boolean {
    return this.#open.hasRoom;
  }

  set ready(ready: boolean) {
    this.#open.limit = ready ? Number.POSITIVE_INFINITY : 0;
    this.#wake(this.#open);
    this.#tellMachine();
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
    for (const semaphore of [this.#slots, ...this.#keys, ...this.#starting]) this.#wake(semaphore);
    this.#retryMachine();
    this.review();
  }

  /** Grants no more slots, until then or until `resume`. */
  pause(reason: string, until: number | undefined): void {
    this.#unpaused.limit = 0;
    this.#tellMachine();
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
    const semaphores = this.#semaphoresOf(request);
    if (request.held !== undefined && semaphores.length === 0) return request.held;
    for (const semaphore of semaphores) semaphore.use();
    let answer: ReturnType<Pool['ask']> | undefined;
    try {
      answer = this.#answer(request, semaphores);
    } finally {
      if (answer === undefined || answer instanceof SupervisorError)
        for (const semaphore of semaphores) semaphore.disuse();
    }
    // Its own `atHead` may have brought an answer already.
    return (answer instanceof PoolEntry && answer.answer) || answer;
  }

  /** Looks again at the conditions that requests wait for. */
  review(): void {
    for (const semaphore of this.#lacking) {
      if (semaphore.line.isEmpty) this.#lacking.delete(semaphore);
      semaphore.retry();
      this.#wake(semaphore);
    }
  }

  /** Refuses every request in the queue that `matches`. */
  refuse(matches: (request: SlotRequest) => boolean, error: () => SupervisorError): void {
    for (const entry of [...this.#waiting]) if (matches(entry.request)) entry.refuse(error());
  }

  /** All that a request needs; the last one is asked last. */
  #semaphoresOf(request: SlotRequest): readonly Semaphore<PoolEntry>[] {
    const { needsSlot, keys, kind, held, condition } = request;
    const isBounded = kind !== undefined && capOf(kind, this.#limits.startingPerKind) !== undefined;
    const usual = condition === undefined ? this.#usual : this.#usualAnd(condition);
    if (asksForSlot(request) && !keys?.length && !isBounded) return usual;
    const semaphores: Semaphore<PoolEntry>[] = [];
    if (held === undefined) {
      semaphores.push(this.#open);
      if (needsSlot) semaphores.push(this.#unpaused);
      if (keys !== undefined) for (const key of new Set(keys)) semaphores.push(this.#keys.of(key));
    }
    if (isBounded) semaphores.push(this.#starting.of(kind));
    if (asksForSlot(request)) semaphores.push(this.#slots, this.#machine);
    semaphores.push(...usual.slice(this.#usual.length));
    return semaphores;
  }

  #usualAnd(condition: Condition): readonly Semaphore<PoolEntry>[] {
    const known = this.#usualWith.get(condition);
    if (known !== undefined) return known;
    const semaphores = [...this.#usual, new ConditionSemaphore(condition)];
    this.#usualWith.set(condition, semaphores);
    return semaphores;
  }

  #answer(
    request: SlotRequest,
    semaphores: readonly Semaphore<PoolEntry>[],
  ): Slot | PoolEntry | SupervisorError {
    if (request.signal?.aborted) return aborted(request.signal);
    const full = this.#fullOf(request, semaphores);
    if (full === undefined) return this.#slotOf(request, semaphores);
    return this.#refusal(request) ?? this.#enqueue(request, semaphores, full);
  }

  /** Acquires them unless somebody waits who may go first; else returns the one to wait for. */
  #fullOf(
    request: SlotRequest,
    semaphores: readonly Semaphore<PoolEntry>[],
  ): Semaphore<PoolEntry> | undefined {
    if (this.#woken.size === 0 && semaphores.every(({ line }) => line.isEmpty))
      return acquireAll(semaphores, { request, sinceMs: this.#context.clock.monotonicMs() });
    const last = asksForSlot(request) ? this.#slots : semaphores.at(-1);
    return firstFull(semaphores) ?? last;
  }

  #refusal(request: SlotRequest): SupervisorError | undefined {
    const { maxWaiting } = this.#limits;
    if (maxWaiting === undefined || !asksForSlot(request)) return undefined;
    // Before the start, those who are about to get a free slot wait as well.
    const free = this.ready ? 0 : Math.max(0, this.concurrency - this.held);
    let waiting = 0;
    for (const other of this.#waiting) if (asksForSlot(other.request)) waiting += 1;
    return waiting < maxWaiting + free ? undefined : queueFull(waiting, maxWaiting);
  }

  #enqueue(
    request: SlotRequest,
    semaphores: readonly Semaphore<PoolEntry>[],
    full: Semaphore<PoolEntry>,
  ): PoolEntry {
    const entry = new PoolEntry(request, semaphores, ++this.#arrivals, this.#queue);
    this.#waiting.add(entry);
    this.#waitAt(entry, full);
    if (full.hasRoom) this.#wake(full);
    else this.#tellHead(full);
    if (full === this.#machine) this.#tellMachine();
    return entry;
  }

  /** An entry has left its line, without a grant. */
  #left(entry: PoolEntry): void {
    this.#waiting.delete(entry);
    const { semaphore: left } = entry;
    if (left instanceof ConditionSemaphore && left.line.isEmpty) this.#lacking.delete(left);
    for (const semaphore of entry.semaphores) semaphore.disuse();
    // Another one may be at the head now.
    this.#wake(entry.semaphore);
    if (entry.semaphore === this.#machine) this.#tellMachine();
  }

  #slotOf({ held }: SlotRequest, semaphores: readonly Semaphore<PoolEntry>[]): Slot {
    const starting = semaphores.find(({ waitsFor }) => waitsFor.cause === 'starting');
    const machineSlot = this.#machine.handOver();
    const others = starting ? semaphores.filter((one) => one !== starting) : semaphores;
    const release = (): void => {
      machineSlot?.release();
      this.#leave(others);
      held?.release();
    };
    return new Slot(release, starting && (() => this.#leave([starting])));
  }

  #leave(semaphores: readonly Semaphore<PoolEntry>[]): void {
    for (const semaphore of semaphores) semaphore.release();
    this.review();
    for (const semaphore of semaphores) {
      this.#wake(semaphore);
      semaphore.disuse();
    }
  }

  #resumed({ reason, since }: PoolPause): void {
    this.#unpaused.limit = Number.POSITIVE_INFINITY;
    this.#wake(this.#unpaused);
    const pausedMs = Math.max(0, this.#context.clock.now() - since);
    this.#context.emit('pool-resumed', { reason, pausedMs });
  }

  #retryMachine(): void {
    this.#machine.retry();
    this.#wake(this.#machine);
  }

  /** Tells the machine which requests wait for nothing else; the others wait in another line. */
  #tellMachine(): void {
    const waits: PoolEntry[] = [];
    for (const entry of this.#machine.line.toArray()) {
      const full = entry.semaphores.find((one) => one !== this.#machine && !one.hasRoom);
      if (full !== undefined) this.#waitAt(entry, full);
      else if (waits.length < this.concurrency - this.held) waits.push(entry);
      else break;
    }
    this.#machine.tell(waits);
  }

  /** Looks at the line of a semaphore, in a microtask: all that is released in one tick counts together. */
  #wake(semaphore: Semaphore<PoolEntry>): void {
    if (semaphore.line.isEmpty) return;
    this.#woken.add(semaphore);
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    queueMicrotask(() => this.#handOut());
  }

  #handOut(): void {
    for (let entry = this.#next(); entry !== undefined; entry = this.#next()) this.#proceed(entry);
    this.#isHandingOut = false;
    this.#tellMachine();
    for (const semaphore of [...this.#looked, ...this.#lacking]) this.#tellHead(semaphore);
    this.#looked.clear();
  }

  /** The first of all in the lines of semaphores that have room. */
  #next(): PoolEntry | undefined {
    let best: PoolEntry | undefined;
    for (const semaphore of this.#woken) {
      const first = semaphore.hasRoom ? semaphore.line.first : undefined;
      if (first === undefined) {
        this.#woken.delete(semaphore);
        this.#looked.add(semaphore);
      } else if (best === undefined || isBefore(first, best)) best = first;
    }
    return best;
  }

  /** Grants a request all that it needs, or lets it wait for the one that is full. */
  #proceed(entry: PoolEntry): void {
    const full = this.#acquireFor(entry);
    if (full instanceof SupervisorError) entry.refuse(full);
    else if (full !== undefined) this.#waitAt(entry, full);
    else {
      this.#waiting.delete(entry);
      entry.grant(this.#slotOf(entry.request, entry.semaphores));
    }
  }

  #acquireFor(entry: PoolEntry): Semaphore<PoolEntry> | SupervisorError | undefined {
    try {
      return acquireAll(entry.semaphores, entry);
    } catch (error) {
      return failed(error);
    }
  }

  #waitAt(entry: PoolEntry, full: Semaphore<PoolEntry>): void {
    if (full instanceof ConditionSemaphore) this.#lacking.add(full);
    else this.#looked.add(full);
    entry.waitAt(full);
  }

  /** Tells the first in the line of a full semaphore that it is. */
  #tellHead(semaphore: Semaphore<PoolEntry>): void {
    const { first } = semaphore.line;
    if (first === undefined || !this.ready || semaphore.hasRoom) return;
    // It may be alone in the line for its condition, and yet others go before it.
    if (!semaphore.isFinal || isNext(first)) first.tellHead();
  }

  #limitOfKey(key: string): number {
    return capOfKey(key, this.#limits.perKey) ?? Number.POSITIVE_INFINITY;
  }

  #limitOfStarts(kind: string): number {
    return capOf(kind, this.#limits.startingPerKind) ?? Number.POSITIVE_INFINITY;
  }
}

function asksForSlot({ needsSlot, held }: SlotRequest): boolean {
  return needsSlot && held === undefined;
}

/** True if nobody in another line that it may have to join goes before it. */
function isNext(entry: PoolEntry): boolean {
  return entry.semaphores.every(({ line: { first }, hasRoom }) => {
    return hasRoom || first === undefined || !isBefore(first, entry);
  });
}
