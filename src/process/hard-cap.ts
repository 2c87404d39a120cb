import { SupervisorError } from '../errors.ts';
import type { Pool } from '../policy/pool.ts';
import { capOf, type HardCaps } from '../policy/pool-options.ts';
import type { ManagedProcess } from './managed-process.ts';
import type { CheckedRequest } from './request.ts';

/** The states of a process that is about to start. */
const IS_AHEAD: ReadonlySet<string> = new Set(['new', 'queued', 'starting']);

export interface HardCapParts {
  readonly options: { readonly pool: Pick<HardCaps, 'hardCapPerKind'> };
  /** Its size may change at run time. */
  readonly pool: Pick<Pool, 'size'>;
  readonly live: ReadonlyMap<string, ManagedProcess>;
  /** Number of leases that no process uses: each keeps a place. */
  idleLeases(): number;
}

/** A cap that leaves no room, and by what. */
interface FullCap {
  /** `undefined` for the cap on all kinds. */
  readonly kind: string | undefined;
  readonly alive: number;
  /** Number of leases and queued agents that have a place each. */
  readonly places: number;
  readonly hardCap: number;
}

/** The bounds on live processes, and the places that are kept below them. */
export class HardCap {
  readonly #parts: HardCapParts;
  /** Requests with a place of their own that have not started yet. */
  readonly #reserved = new Set<ManagedProcess>();

  constructor(parts: HardCapParts) {
    this.#parts = parts;
  }

  /** Keeps a place for a request until it has started or is refused. */
  reserve(p: ManagedProcess): void {
    this.#reserved.add(p);
  }

  assertRoomFor(p: ManagedProcess): void {
    const full = this.#fullFor(p);
    if (full === undefined) return;
    const { kind, alive, places, hardCap } = full;
    const [limit, list, option] =
      kind === undefined
        ? [`pool.hardCap is ${hardCap}`, 'supervisor.list()', 'pool.hardCap']
        : [
            `pool.hardCapPerKind lets ${hardCap} be`,
            'supervisor.list({ kind })',
            'pool.hardCapPerKind',
          ];
    throw new SupervisorError(
      'HARD_CAP',
      `${occupants(full)}, and ${limit}. End some (${list} names them), or raise ${option}.`,
      { data: { ...(kind !== undefined && { kind }), alive: alive + places, hardCap } },
    );
  }

  /** Explains in a clause why there is no room for a process; without one, for a lease. */
  lackFor(p?: ManagedProcess): string | undefined {
    const full = this.#fullFor(p);
    if (full === undefined) return undefined;
    const option = full.kind === undefined ? 'pool.hardCap' : 'pool.hardCapPerKind';
    return `${occupants(full)}, and ${option} is ${full.hardCap}`;
  }

  /** Number of live processes that `pool.hardCap` counts. */
  get counted(): number {
    return this.#countLive((request) => this.#isCounted(request));
  }

  #fullFor(p?: ManagedProcess): FullCap | undefined {
    if (p?.request.outlivesHost) return undefined;
    const { options, pool, idleLeases } = this.#parts;
    const { hardCap } = pool.size;
    if (p === undefined || this.#isCounted(p.request)) {
      const alive = this.counted;
      const places = idleLeases() + this.#countReserved(p, (other) => this.#isCounted(other));
      if (alive + places >= hardCap) return { kind: undefined, alive, places, hardCap };
    }
    const kind = p?.request.kind;
    const ofKind = kind === undefined ? undefined : capOf(kind, options.pool.hardCapPerKind);
    if (ofKind === undefined) return undefined;
    const alive = this.#countLive((other) => other.kind === kind);
    const places = this.#countReserved(p, (other) => other.kind === kind);
    return alive + places < ofKind ? undefined : { kind, alive, places, hardCap: ofKind };
  }

  #isCounted({ servesOthers }: CheckedRequest): boolean {
    return servesOthers !== true || this.#parts.pool.size.hardCapCounts === 'all';
  }

  /** Counts the other requests that have a place and are about to start. */
  #countReserved(
    p: ManagedProcess | undefined,
    matches: (request: CheckedRequest) => boolean,
  ): number {
    let count = 0;
    for (const other of this.#reserved) {
      if (!IS_AHEAD.has(other.state)) this.#reserved.delete(other);
      else if (other !== p && matches(other.request)) count += 1;
    }
    return count;
  }

  #countLive(matches: (request: CheckedRequest) => boolean): number {
    let count = 0;
    for (const { countsToCap, request } of this.#parts.live.values())
      if (countsToCap && matches(request)) count += 1;
    return count;
  }
}

function occupants({ kind, alive, places }: FullCap): string {
  const processes = kind === undefined ? 'processes' : `processes of the kind "${kind}"`;
  const more = places === 0 ? '' : ` and ${places} more have a place (leases, queued agents)`;
  return `${alive} ${processes} are alive${more}`;
}
