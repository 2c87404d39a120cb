/** The place of one that waits: a higher priority goes first, then the smaller number. */
export interface Place {
  readonly priority: number;
  /** The number of its arrival; no two are the same. */
  readonly number: number;
}

/** Number of left places at the front from which on the list is made shorter. */
const COMPACT_FROM = 100;

/** Those who wait, in order; one that comes back takes its old place. */
export class Line<T extends Place> {
  /** Sorted; the places before `#front` were left. */
  #places: (T | undefined)[] = [];
  #front = 0;

  get first(): T | undefined {
    return this.#places[this.#front];
  }

  get isEmpty(): boolean {
    return this.#front === this.#places.length;
  }

  /** Those who wait now, in order. */
  toArray(): T[] {
    return this.#places.slice(this.#front) as T[];
  }

  add(one: T): void {
    const last = this.#places.at(-1);
    if (last === undefined || isBefore(last, one)) this.#places.push(one);
    else this.#places.splice(this.#placeOf(one), 0, one);
  }

  remove(one: T): void {
    if (this.first === one) {
      this.#places[this.#front] = undefined;
      this.#front += 1;
      this.#compact();
      return;
    }
    const at = this.#placeOf(one);
    if (this.#places[at] === one) this.#places.splice(at, 1);
  }

  #compact(): void {
    if (this.isEmpty) this.#places = [];
    else if (this.#front > COMPACT_FROM && this.#front > this.#places.length / 2)
      this.#places = this.#places.slice(this.#front);
    else return;
    this.#front = 0;
  }

  /** The index at which it stands, or would stand. */
  #placeOf(one: Place): number {
    let [low, high] = [this.#front, this.#places.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#places[middle] as T, one)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function isBefore(a: Place, b: Place): boolean {
  return a.priority === b.priority ? a.number < b.number : a.priority > b.priority;
}
