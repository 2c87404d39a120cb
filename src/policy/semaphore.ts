import type { WaitCause, WaitsFor } from '../reports.ts';
import { Line, type Place } from './line.ts';
import type { MachineRequest } from './machine-slots.ts';
import { reasonOf } from './pool-refusals.ts';

/** A bound on how many requests hold something at once, and the requests that wait for it. */
export class Semaphore<T extends Place = Place> {
  readonly waitsFor: WaitsFor;
  readonly line = new Line<T>();
  /** True if what it gives cannot be given back: it is looked at first, and acquired last. */
  readonly isFinal: boolean = false;
  limit: number;
  held = 0;
  readonly #onUnused: (() => void) | undefined;
  #users = 0;

  constructor(cause: WaitCause, limit: number, name?: string, onUnused?: () => void) {
    this.waitsFor = { cause, name };
    this.limit = limit;
    this.#onUnused = onUnused;
  }

  get hasRoom(): boolean {
    return this.held < this.limit;
  }

  /** The reason why a request waits for it, as a clause. */
  get reason(): string {
    return reasonOf(this.waitsFor, this.limit);
  }

  /** Registers a request that needs it: one that holds it, or that waits for all it needs. */
  use(): void {
    this.#users += 1;
  }

  disuse(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#onUnused?.();
  }

  /** Takes one of its places; a semaphore that gives none has no room. */
  tryAcquire(_request: MachineRequest): boolean {
    if (!this.hasRoom) return false;
    this.held += 1;
    return true;
  }

  release(): void {
    this.held -= 1;
  }
}

/** Acquires all of them, or none; returns the first one without room. */
export function acquireAll<T extends Place>(
  semaphores: readonly Semaphore<T>[],
  request: MachineRequest,
): Semaphore<T> | undefined {
  const lacking = finalWithoutRoom(semaphores);
  if (lacking !== undefined) return lacking;
  let acquired = 0;
  try {
    for (const semaphore of semaphores) {
      if (!semaphore.tryAcquire(request)) return semaphore;
      acquired += 1;
    }
    return undefined;
  } finally {
    if (acquired < semaphores.length)
      for (const one of semaphores.slice(0, acquired)) one.release();
  }
}

/** Finds the first one without room. */
export function firstFull<T extends Place>(
  semaphores: readonly Semaphore<T>[],
): Semaphore<T> | undefined {
  return finalWithoutRoom(semaphores) ?? semaphores.find(({ hasRoom }) => !hasRoom);
}

function finalWithoutRoom<T extends Place>(
  semaphores: readonly Semaphore<T>[],
): Semaphore<T> | undefined {
  const last = semaphores.at(-1);
  return last?.isFinal && !last.hasRoom ? last : undefined;
}

/** Semaphores by name: a bound for each key, or for each kind. */
export class Semaphores<T extends Place> {
  readonly #cause: WaitCause;
  readonly #semaphores = new Map<string, Semaphore<T>>();
  #limitOf: (name: string) => number;

  constructor(cause: WaitCause, limitOf: (name: string) => number) {
    this.#cause = cause;
    this.#limitOf = limitOf;
  }

  /** The semaphore of a name: made at its first use, and forgotten when nobody uses it. */
  of(name: string): Semaphore<T> {
    let semaphore = this.#semaphores.get(name);
    if (semaphore === undefined) {
      const forget = () => this.#semaphores.delete(name);
      semaphore = new Semaphore(this.#cause, this.#limitOf(name), name, forget);
      this.#semaphores.set(name, semaphore);
    }
    return semaphore;
  }

  setLimits(limitOf: (name: string) => number): void {
    this.#limitOf = limitOf;
    for (const [name, semaphore] of this.#semaphores) semaphore.limit = limitOf(name);
  }

  [Symbol.iterator](): Iterator<Semaphore<T>> {
    return this.#semaphores.values();
  }
}
