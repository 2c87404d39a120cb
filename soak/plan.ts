// Which deed is done when, and to whom: decided by the seed alone, before anything runs.
import { createHash } from 'node:crypto';
import type { Control } from './controls.ts';

/** The places for hosts, each with its own way to suffer; a host that dies is followed by another one. */
export const PLACES = {
  /** Is never hurt itself: it sweeps behind the others, and its memory is watched. */
  veteran: 0,
  plain: [1, 2, 3],
  /** May open 64 files. */
  narrow: 4,
  /** Its wall clock jumps. */
  shifted: 5,
  /** Has a tiny disk of its own. */
  cramped: 6,
  /** Is a user of its own, who may have few processes. */
  crowded: 7,
  /** Lives where numbers of processes are few, beside a program that makes daemons. */
  recycling: 8,
} as const;

const { veteran, plain, narrow, shifted, cramped, crowded, recycling } = PLACES;
const SHARING = [veteran, ...plain, narrow, shifted];
const EVERYWHERE = [...SHARING, cramped, crowded, recycling];
const MORTAL = EVERYWHERE.filter((place) => place !== veteran);

/** How many of each are in a deck, and at which places they may happen. */
const DECK = {
  'start-agent': [20, EVERYWHERE],
  'start-conversation': [12, SHARING],
  'start-washed': [6, EVERYWHERE],
  'start-bomb': [3, [crowded]],
  'start-run': [4, EVERYWHERE],
  'start-service': [4, EVERYWHERE],
  'ensure-daemon': [3, SHARING],
  terminate: [3, EVERYWHERE],
  'reap-session': [2, EVERYWHERE],
  'kill-leader': [5, EVERYWHERE],
  'kill-descendant': [5, EVERYWHERE],
  'stop-descendant': [3, EVERYWHERE],
  'kill-daemon': [1, [veteran]],
  'kill-host': [5, MORTAL],
  'kill-by-parent': [3, MORTAL],
  'kill-guardian': [2, [...plain, narrow, shifted]],
  'kill-host-and-guardian': [3, [...plain, shifted]],
  'stop-guardian': [1, plain],
  'stop-host': [2, plain],
  'end-host': [2, MORTAL],
  'fill-disk': [2, [cramped]],
  'make-read-only': [2, [cramped]],
  'exhaust-descriptors': [2, [narrow]],
  'jump-clock': [2, [shifted]],
  'forge-journal': [4, [veteran]],
  'corrupt-file': [3, [veteran]],
  'keep-cores-busy': [1, [veteran]],
} as const satisfies Readonly<Record<string, readonly [count: number, places: readonly number[]]>>;

export type DeedName = keyof typeof DECK;
export const DEED_NAMES = Object.keys(DECK) as readonly DeedName[];

/** What is done, and to whom. */
export interface Occasion {
  readonly name: DeedName;
  readonly place: number;
  /** From 0 to 1: chooses whatever else there is to choose. */
  readonly chance: number;
}

export interface Deed extends Occasion {
  readonly atMs: number;
}

const MIN_GAP_MS = 60;
const MAX_GAP_MS = 380;

/** The deeds of a control in their order, at each of its places; to be done over and over. */
export function planControl({ deeds, places }: Pick<Control, 'deeds' | 'places'>): Occasion[] {
  const isPossible = (name: DeedName, place: number) =>
    DECK[name][1].some((possible) => possible === place);
  return places.flatMap((place) =>
    deeds.filter((name) => isPossible(name, place)).map((name) => ({ name, place, chance: 0 })),
  );
}

/** All deeds of a soak: the same seed makes the same plan, and a longer one begins like a shorter one. */
export function planDeeds(seed: number, durationMs: number): Deed[] {
  const draw = drawFrom(seed);
  const deeds: Deed[] = [];
  let deck: DeedName[] = [];
  let atMs = 0;
  for (;;) {
    atMs += Math.round(MIN_GAP_MS + draw() * (MAX_GAP_MS - MIN_GAP_MS));
    if (atMs >= durationMs) return deeds;
    // Cards, not dice: so that even a short soak leaves no deed out.
    if (deck.length === 0) deck = DEED_NAMES.flatMap((name) => Array(DECK[name][0]).fill(name));
    const [name] = deck.splice(Math.floor(draw() * deck.length), 1);
    if (name === undefined) continue;
    const place = choose(DECK[name][1], draw());
    deeds.push({ atMs, name, place: place ?? veteran, chance: draw() });
  }
}

/** The element that a chance from 0 to 1 falls on. */
export function choose<T>(list: readonly T[], chance: number): T | undefined {
  return list[Math.min(list.length - 1, Math.floor(chance * list.length))];
}

/** An endless sequence of numbers from 0 to 1, as evenly spread as a hash is. */
function drawFrom(seed: number): () => number {
  let drawn = 0;
  return () => createHash('sha256').update(`${seed} ${drawn++}`).digest().readUInt32BE() / 2 ** 32;
}
