import { type Channel, channel } from 'node:diagnostics_channel';
import * as z from 'zod/mini';
import { parseInput } from '../check.ts';
import { type Emit, EVENTS, type SupervisorEvent, type SupervisorEvents } from '../events.ts';
import { callHost } from '../os/call-host.ts';

const subscription = z.lazy(() =>
  z.object({
    event: z.enum(EVENTS),
    listener: z.custom((value) => typeof value === 'function', { error: 'must be a function' }),
  }),
);

type Listener = (detail: never) => void;

/** The listeners of an event here, and its channel for every other subscriber. */
interface Outlet {
  readonly listeners: Set<Listener>;
  /** By name, so that every supervisor and every loaded copy of the package has the same one. */
  readonly channel: Channel;
}

const outletOf = (event: SupervisorEvent): Outlet => ({
  listeners: new Set(),
  channel: channel(`agent-supervisor:${event}`),
});

/** Typed events; a listener that throws never reaches the code that emitted. */
export class Emitter {
  readonly #supervisor: object;
  readonly #unheard: (warning: SupervisorEvents['warning']) => void;
  readonly #outlets = Object.fromEntries(
    EVENTS.map((event) => [event, outletOf(event)]),
  ) as Readonly<Record<SupervisorEvent, Outlet>>;

  /** `unheard` is told of a warning that nobody listens for. */
  constructor(supervisor: object, unheard: (warning: SupervisorEvents['warning']) => void) {
    this.#supervisor = supervisor;
    this.#unheard = unheard;
  }

  on<E extends SupervisorEvent>(
    event: E,
    listener: (detail: SupervisorEvents[E]) => void,
  ): () => void {
    parseInput(subscription, { event, listener }, 'on');
    const { listeners } = this.#outlets[event];
    // One for each call: two callers may pass the same function, and one may take it off.
    const own: typeof listener = (detail) => listener(detail);
    listeners.add(own);
    return () => listeners.delete(own);
  }

  readonly emit: Emit = (event, detail) => {
    const { listeners, channel } = this.#outlets[event];
    // Copy first: a listener that re-subscribes itself would otherwise loop forever.
    for (const listener of [...listeners])
      if (listeners.has(listener)) callHost(() => listener(detail as never));
    if (channel.hasSubscribers) channel.publish({ supervisor: this.#supervisor, detail });
    else if (event === 'warning' && listeners.size === 0)
      this.#unheard(detail as SupervisorEvents['warning']);
  };
}
