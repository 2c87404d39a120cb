import type { HeartbeatTimes, Os } from '../os/os.ts';
import { giveUp, isGivenUp, parseHeartbeat, readHeartbeat } from '../store/heartbeat-file.ts';
import { heartbeatPath, heartbeatSocket } from '../store/layout.ts';
import type { Identity } from '../tree/identity.ts';

/** Time after the last question, in ms, for which a heartbeat is still watched. */
const INTEREST_MS = 120_000;

/** The state of an owner whose process cannot be looked up from here. */
export interface Pulse {
  /** `dead` and `rebooted` are proven; `given-up`: silent for too long, or given up by another host. */
  readonly verdict: 'dead' | 'rebooted' | 'given-up' | undefined;
  /** Time of the last sign of life seen from here, on the monotonic clock. */
  readonly aliveAtMs: number;
  readonly silentMs: number;
}

const DEAD: Pulse = { verdict: 'dead', aliveAtMs: Number.NEGATIVE_INFINITY, silentMs: 0 };

/** The owner of a heartbeat. */
export type Beating = Pick<Identity, 'bootId'> & { readonly heartbeat?: string | undefined };

interface Sighting {
  text: string | undefined;
  aliveAtMs: number;
  silentMs: number;
  lookedAtMs: number;
  askedAtMs: number;
  /** Time since which its socket has refused connections, on the monotonic clock. */
  refusedAtMs: number | undefined;
}

/** Tells dead hosts from live ones by the heartbeats in one folder. */
export class FailureDetector {
  readonly #os: Os;
  readonly #folder: string;
  readonly #sightings = new Map<string, Sighting>();
  /** Dead heartbeats, which stay dead: their files may be gone at the next question. */
  readonly #dead = new Set<string>();
  readonly #looksOnce: boolean;
  #cancel: (() => void) | undefined;

  /** With `looksOnce` it watches no heartbeat afterwards, and gives none up by itself. */
  constructor(os: Os, folder: string, { looksOnce = false } = {}) {
    this.#os = os;
    this.#folder = folder;
    this.#looksOnce = looksOnce;
  }

  /** Reads an owner's heartbeat, and watches it for a while; `undefined` for an owner without one. */
  async observe({ heartbeat: id, bootId }: Beating, self: Beating): Promise<Pulse | undefined> {
    const { heartbeat: times } = this.#os;
    if (id === undefined || times === undefined) return undefined;
    if (this.#dead.has(id)) return DEAD;
    const sighting = this.#look(id, times);
    sighting.askedAtMs = sighting.lookedAtMs;
    if (!this.#looksOnce) this.#goOn(times);
    const isThisKernel = bootId !== '' && bootId === self.bootId;
    const isAnotherBoot = bootId !== '' && self.bootId !== '' && bootId !== self.bootId;
    if (isThisKernel) await this.#ask(id, sighting);
    const verdict = this.#judge(id, sighting, isAnotherBoot, times.giveUpMs);
    const { aliveAtMs, silentMs } = sighting;
    return { verdict, aliveAtMs, silentMs };
  }

  /** Gives up a heartbeat that was silent for too long; `false` if it has beaten since. */
  giveUp(id: string): boolean {
    const given = giveUp(this.#folder, id, this.#sightings.get(id)?.text, this.#os);
    if (!given) this.#sightings.delete(id);
    return given;
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #judge(
    id: string,
    sighting: Sighting,
    isAnotherBoot: boolean,
    giveUpMs: number,
  ): Pulse['verdict'] {
    const { clock, isOfEarlierBoot } = this.#os;
    const { refusedAtMs, text, silentMs } = sighting;
    const graceMs = parseHeartbeat(text ?? '')?.graceMs ?? Number.POSITIVE_INFINITY;
    if (refusedAtMs !== undefined && clock.monotonicMs() - refusedAtMs >= graceMs) {
      this.#dead.add(id);
      this.#sightings.delete(id);
      return 'dead';
    }
    if (isGivenUp(this.#folder, id, this.#os)) return 'given-up';
    const isOld = isAnotherBoot && isOfEarlierBoot?.(heartbeatPath(this.#folder, id));
    if (isOld) return 'rebooted';
    return silentMs >= giveUpMs ? 'given-up' : undefined;
  }

  #look(id: string, { lookMs }: HeartbeatTimes): Sighting {
    const nowMs = this.#os.clock.monotonicMs();
    const text = readHeartbeat(this.#folder, id, this.#os);
    const known = this.#sightings.get(id);
    if (known === undefined) {
      const aliveAtMs = Number.NEGATIVE_INFINITY;
      const times = { aliveAtMs, silentMs: 0, lookedAtMs: nowMs, askedAtMs: nowMs };
      const sighting: Sighting = { text, ...times, refusedAtMs: undefined };
      this.#sightings.set(id, sighting);
      return sighting;
    }
    // A longer gap does not count: this host was stopped itself, and did not watch the file.
    known.silentMs += Math.min(nowMs - known.lookedAtMs, 2 * lookMs);
    known.lookedAtMs = nowMs;
    // A missing file is no sign of life.
    if (text !== known.text && text !== undefined) {
      known.silentMs = 0;
      known.aliveAtMs = nowMs;
      known.refusedAtMs = undefined;
    }
    known.text = text;
    return known;
  }

  /** Asks the owner's socket, if it is the very socket that the heartbeat names. */
  async #ask(id: string, sighting: Sighting): Promise<void> {
    const { liveness, clock } = this.#os;
    const { socket } = parseHeartbeat(sighting.text ?? '') ?? {};
    const path = heartbeatSocket(this.#folder, id);
    const isIts = () => socket !== undefined && liveness?.key(path) === socket;
    const answer = isIts() ? await liveness?.ask(path) : undefined;
    const nowMs = clock.monotonicMs();
    // The socket may have been replaced during the question.
    if (answer === undefined || !isIts()) sighting.refusedAtMs = undefined;
    else if (answer === 'refused') sighting.refusedAtMs ??= nowMs;
    else {
      // Stopped, or dead with its guardian at work: a process still holds the socket.
      sighting.refusedAtMs = undefined;
      sighting.silentMs = 0;
      if (answer === 'alive') sighting.aliveAtMs = nowMs;
    }
  }

  #goOn(times: HeartbeatTimes): void {
    this.#cancel ??= this.#os.clock.after(times.lookMs, () => {
      this.#cancel = undefined;
      const { clock } = this.#os;
      for (const [id, { askedAtMs }] of this.#sightings) {
        if (clock.monotonicMs() - askedAtMs > INTEREST_MS) this.#sightings.delete(id);
        else this.#look(id, times);
      }
      if (this.#sightings.size > 0) this.#goOn(times);
    });
  }
}
