import type { WaitCause, WaitsFor } from '../reports.ts';
import { Line, type Place } from './line.ts';

/** A bound on how many requests hold something at once, and the requests that wait for it. */
export class Gate<T extends Place = Place> {
  readonly waitsFor: WaitsFor;
  readonly line = new Line<T>();
  limit: number;
  held = 0;
  readonly #onUnused: (() => void) | undefined;
  #users = 0;

  constructor(cause: WaitCause, limit: number, name?: string, onUnused?: () => void) {
    this.waitsFor = { cause, name };
    this.limit = limit;
    this.#onUnused = onUnused;
  }

  get isOpen(): boolean {
    return this.held < this.limit;
  }

  /** Registers a request that holds it, or waits for it or for another gate on its way. */
  use(): void {
    this.#users += 1;
  }

  disuse(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#onUnused?.();
  }

  /** Lets one through; a gate that does not is closed. */
  enter(): boolean {
    if (!this.isOpen) return false;
    this.held += 1;
    return true;
  }

  leave(): void {
    this.held -= 1;
  }
}

/** Passes all gates, or none; returns the first closed one. */
export function enterAll<T extends Place>(gates: readonly Gate<T>[]): Gate<T> | undefined {
  let passed = 0;
  for (const gate of gates) {
    if (gate.enter()) {
      passed += 1;
      continue;
    }
    for (const one of gates.slice(0, passed)) one.leave();
    return gate;
  }
  return undefined;
}

/** Gates by name: a bound for each key, or for each kind. */
export class Gates<T extends Place> {
  readonly #cause: WaitCause;
  readonly #gates = new Map<string, Gate<T>>();
  #limitOf: (name: string) => number;

  constructor(cause: WaitCause, limitOf: (name: string) => number) {
    this.#cause = cause;
    this.#limitOf = limitOf;
  }

  /** The gate of a name: made at its first use, and forgotten when nobody uses it. */
  of(name: string): Gate<T> {
    let gate = this.#gates.get(name);
    if (gate === undefined) {
      const forget = () => this.#gates.delete(name);
      gate = new Gate(this.#cause, this.#limitOf(name), name, forget);
      this.#gates.set(name, gate);
    }
    return gate;
  }

  setLimits(limitOf: (name: string) => number): void {
    this.#limitOf = limitOf;
    for (const [name, gate] of this.#gates) gate.limit = limitOf(name);
  }

  [Symbol.iterator](): Iterator<Gate<T>> {
    return this.#gates.values();
  }
}
