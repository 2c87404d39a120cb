import type { RlimitSystem, Rlimits, TagLimit } from '../os/os.ts';
import type { RlimitTagReport } from '../reports.ts';
import {
  isTag,
  keptLimits,
  NO_OWNER,
  rlimitTag,
  TAG_LIMITS,
  type TagPlace,
  tagOwner,
  tagPlaces,
} from './rlimit-tag.ts';

/** The limits of one launch, and the tag in them. */
export interface LaunchTag {
  readonly rlimits: Rlimits;
  readonly tag: string | undefined;
}

/** Tags the launches of one owner; does nothing on a system without such limits. */
export class Tagging {
  /** Resolves when the limit for tags is chosen; `undefined` if it was chosen at once. */
  readonly ready: Promise<void> | undefined;
  readonly #system: RlimitSystem | undefined;
  readonly #owner: string;
  #place: TagPlace | undefined;
  #reasons: readonly string[] = [];

  constructor(system: RlimitSystem | undefined, instance: string, enabled = true) {
    this.#system = system;
    this.#owner = tagOwner(instance);
    if (system === undefined) this.#reasons = ['this system hands down no such limit'];
    else if (!enabled) this.#reasons = ['the option "rlimitTag" is false'];
    else this.ready = this.#find(system);
  }

  get state(): RlimitTagReport {
    const reason = this.#reasons.length === 0 ? undefined : this.#reasons.join('; ');
    return { limit: this.#place?.limit ?? 'off', reason };
  }

  /** The limits of a process that ends with its record, or of one that is to live on. */
  launch(record: number, kept = false): LaunchTag {
    const place = this.#place;
    if (kept) {
      const rlimits = keptLimits(this.#system?.own() ?? {}, place, this.#owner, record);
      return { rlimits, tag: Object.values(rlimits).find(isTag) };
    }
    if (place === undefined) return { rlimits: {}, tag: undefined };
    const tag = rlimitTag(place.lead, this.#owner, record);
    return { rlimits: { [place.limit]: tag }, tag };
  }

  /** The limits by which a living process, with these limits, is let go. */
  letGo(limits: Rlimits, record: number): Rlimits {
    return keptLimits(limits, this.#place, this.#owner, record);
  }

  /**
   * Takes the first limit that is free and holds its value; records why the ones before it failed.
   */
  async #find(system: RlimitSystem): Promise<void> {
    const own = system.own();
    const places = new Map(tagPlaces(own).map((place) => [place.limit, place]));
    const reasons: string[] = [];
    for (const limit of TAG_LIMITS) {
      const place = places.get(limit);
      const failure = place
        ? await system.probe(limit, rlimitTag(place.lead, NO_OWNER, 0))
        : whyTaken(limit, own[limit]);
      if (failure === undefined) {
        this.#place = place;
        break;
      }
      reasons.push(failure);
    }
    this.#reasons = reasons;
  }
}

function whyTaken(limit: TagLimit, value: string | undefined): string {
  if (value === undefined) return `${limit} cannot be read`;
  return `${limit} ${isTag(value) ? 'bears the tag of a supervisor above' : `is limited to ${value}`}`;
}
