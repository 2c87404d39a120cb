// What a soak can be run without, to see that its witness notices: with a protection off it does, again
// and again, only what that protection is for, and only the invariant that must break is judged. So it
// ends at the first moment at which the fault can be seen, however busy the machine is.
import { type DeedName, PLACES } from './plan.ts';

export interface Control {
  /** The name of the invariant that does not hold. */
  readonly breaks: string;
  readonly places: readonly number[];
  /** One after the other at each of the places. */
  readonly deeds: readonly DeedName[];
  /** Nobody else cleans up: each host has a registry of its own. */
  readonly alone?: boolean;
}

const { veteran, plain, crowded, recycling } = PLACES;
const [first, second] = plain;
const SURVIVORS = 'nothing survives its host';
const STRANGERS = 'no stranger is touched';

export const CONTROLS = {
  /** No guardians, and no sweeps of others. */
  guardian: {
    breaks: SURVIVORS,
    places: [first],
    deeds: ['start-agent', 'kill-host'],
    alone: true,
  },
  /** All processes seem to have begun at the same moment, so that a recycled pid looks right. */
  identity: {
    breaks: STRANGERS,
    places: [veteran, first, second],
    deeds: ['start-agent', 'kill-host', 'forge-journal'],
  },
  /** Twice the concurrency. */
  slots: { breaks: 'never over concurrency', places: [first], deeds: ['start-agent'] },
  /** No inherited tag. */
  tag: { breaks: SURVIVORS, places: [veteran, first], deeds: ['start-washed', 'kill-host'] },
  /** The guardian is its host's child. */
  launcher: {
    ...{ breaks: SURVIVORS, places: [first], alone: true },
    // More than have a slot: who starts when the first ones have ended is in no list.
    deeds: ['start-agent', 'start-agent', 'start-agent', 'start-agent', 'kill-by-parent'],
  },
  /** The guardian can look only by what it has to fork for. */
  builtins: { breaks: SURVIVORS, places: [crowded], deeds: ['start-bomb', 'kill-host'] },
  /** A number seems never to be given out again. */
  numbers: { breaks: STRANGERS, places: [recycling], deeds: ['start-agent', 'terminate'] },
} as const satisfies Readonly<Record<string, Control>>;

export type Protection = keyof typeof CONTROLS;
export const PROTECTIONS = Object.keys(CONTROLS) as readonly Protection[];
