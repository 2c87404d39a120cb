import { queueMicrotask } from '../os/clock.ts';
import {
  countAhead,
  type MachineRequest,
  type MachineSlot,
  type MachineSlots,
  mayTake,
  NO_LIMIT,
  type Place,
} from '../policy/machine-slots.ts';
import { FORMAT_VERSION, type HostShareFile, MAX_SHARE_NAMES } from '../store/formats.ts';
import { readShares, removeShares, writeShare } from '../store/host-share.ts';
import { hostSharePath, slotSetHash } from '../store/layout.ts';
import type { Owner } from '../tree/identity.ts';
import { DeadHolders, type DeadHoldersContext } from './dead-holders.ts';
import { MachineLook } from './machine-look.ts';

/** Interval at which a host that waits asks again, less a part by chance, in ms. */
const POLL_MS = 200;
/** Age of its file from which a host that waits writes it anew. */
const MIN_REWRITE_MS = 100;
/** Interval at which a write that has failed is tried again, in ms. */
const REWRITE_MS = 1000;
const MAX_SESSION_CHARS = 100;

/** The key of the warning that nothing can be written. */
const UNWRITABLE = 'unwritable';

export interface MachineContext extends DeadHoldersContext {
  /** The number of slots that this host names; `undefined` if it names none any more. */
  limit(): number | undefined;
  owner(): Owner;
  /** Looks up this host's identity where that takes time; `undefined` once it is known. */
  identify(): Promise<void> | undefined;
  warn(code: string, message: string, cause?: unknown): void;
  /** Called before anything is written: this host may have been given up meanwhile. */
  catchUp(): void;
}

/** A machine's slots, as a registry keeps them. */
export interface Machine extends MachineSlots {
  /** True while this host holds a slot, or waits for one. */
  readonly isBusy: boolean;
  /** Writes this host's word anew: its identity, or the number that it names, has changed. */
  rewrite(): void;
  /** Writes what this host holds anew if somebody has removed or changed it; returns the paths. */
  check(): string[];
  close(): void;
}

/** Makes a supervisor one of the hosts that share a machine's slots. */
export type JoinMachine = (context: MachineContext) => Machine;

/**
 * The slots that the hosts of a state directory share, without a server.
 *
 * Each host has one file, which it alone writes: what it holds and waits for. To take a slot it first
 * writes that it holds one more, and then adds up all files. If that is too many, it takes its word back.
 * Of hosts that do so at once, the last one to write sees all the others: never are there too many.
 */
export class SharedMachine implements Machine {
  readonly #context: MachineContext;
  readonly #kind: string | undefined;
  readonly #held = new Set<HeldSlot>();
  /** Numbers of other hosts, and failures, that the host was warned of. */
  readonly #warned = new Set<string>();
  readonly #dead: DeadHolders;
  #waiting: readonly MachineRequest[] = [];
  #retry: () => void = () => undefined;
  #obstacle: string | undefined;
  #cancelPoll: (() => void) | undefined;
  #cancelRewrite: (() => void) | undefined;
  #writtenAtMs: number | undefined;
  #isClosed = false;

  /** `kind`: of commands that share slots of their own. */
  constructor(context: MachineContext, kind?: string) {
    this.#context = context;
    this.#kind = kind;
    this.#dead = new DeadHolders(context);
  }

  get obstacle(): string | undefined {
    return this.#obstacle;
  }

  get isBusy(): boolean {
    return this.#held.size > 0 || this.#waiting.length > 0;
  }

  take(request: MachineRequest): MachineSlot | undefined {
    if (this.#isClosed) return undefined;
    const { catchUp, identify, stateDir } = this.#context;
    if (identify() !== undefined) {
      this.#obstacle = 'this host does not know its own identity yet';
      return undefined;
    }
    catchUp();
    try {
      const slot = this.#take(request);
      this.#warned.delete(UNWRITABLE);
      return slot;
    } catch (cause) {
      this.#obstacle = `nothing can be written in ${stateDir} (${(cause as Error).message})`;
      const message = `No slot of this machine can be taken: ${this.#obstacle}. Requests wait until it can.`;
      this.#warnOnce(UNWRITABLE, 'MACHINE_SLOTS', message, cause);
      return undefined;
    }
  }

  #take(request: MachineRequest): MachineSlot | undefined {
    const place = this.#placeOf(request);
    if (!this.#mayTake(place)) return undefined;
    const slot = new HeldSlot(request.request.id, () => this.#give(slot));
    const waiting = this.#waiting;
    // Before it is written: what has its slot waits no more.
    this.#waiting = waiting.filter((one) => one !== request);
    this.#held.add(slot);
    let isWithin = false;
    try {
      this.#write();
      isWithin = this.#isWithin(place);
      return isWithin ? slot : undefined;
    } finally {
      if (!isWithin) {
        // Another host was as fast. By chance, they do not ask again at the same time.
        this.#waiting = waiting;
        this.#give(slot);
      }
    }
  }

  get #isFirst(): boolean {
    const [request] = this.#waiting;
    if (request === undefined) return false;
    const { clock } = this.#context.os;
    return countAhead(this.#placeOf(request), this.#look().shares, clock.sinceBootMs()) === 0;
  }

  /** A host has the place of its longest wait; which of its requests goes first is its own affair. */
  #placeOf({ sinceMs }: MachineRequest): Place {
    const longest = Math.min(sinceMs, ...this.#waiting.map((one) => one.sinceMs));
    return { instance: this.#instance, sinceMs: this.#sinceBootMs(longest) };
  }

  #mayTake(place: Place): boolean {
    const look = this.#look();
    for (const { instance, limit, name } of look.otherNumbers)
      this.#warnOnce(
        `${instance} ${limit}`,
        'MACHINE_CONCURRENCY',
        `This host names ${this.#limit} slots of this machine, and the host with ${name} names ${limit}: the smallest number holds for both. Give pool.machineConcurrency the same number everywhere.`,
      );
    const nowMs = this.#context.os.clock.sinceBootMs();
    const may = mayTake(place, look.shares, nowMs);
    if (!may) this.#obstacle = look.obstacleOf(place, nowMs);
    return may;
  }

  /** Tells, after this host has written its word, that all hosts together hold no more than there is. */
  #isWithin(place: Place): boolean {
    const look = this.#look();
    const { isWithin } = look;
    if (!isWithin) this.#obstacle = look.obstacleOf(place, this.#context.os.clock.sinceBootMs());
    return isWithin;
  }

  #give(slot: HeldSlot): void {
    if (this.#held.delete(slot)) this.#tell();
  }

  await(requests: readonly MachineRequest[], retry: () => void): void {
    if (this.#isClosed) return;
    const before = this.#waiting;
    const isSame =
      requests.length === before.length && requests.every((one, at) => one === before[at]);
    this.#waiting = requests;
    this.#retry = retry;
    if (!isSame || (requests.length > 0 && this.#sinceWriteMs >= MIN_REWRITE_MS)) this.#tell();
    if (requests.length > 0) this.#pollLater();
    else this.#stopPolling();
  }

  #pollLater(): void {
    const ms = POLL_MS * (1 - Math.random() / 4);
    // Keeps the host alive: without other work it would exit with its query unanswered.
    this.#cancelPoll ??= this.#context.os.clock.after(ms, () => this.#poll(), { keepAlive: true });
  }

  #stopPolling(): void {
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
  }

  #poll(): void {
    this.#cancelPoll = undefined;
    this.#dead.look({
      set: this.#set,
      instance: this.#instance,
      isFirst: () => this.#isFirst,
      swept: () => this.#retry(),
    });
    this.#retry();
    if (this.#waiting.length > 0) this.#pollLater();
  }

  rewrite(): void {
    if (this.#writtenAtMs !== undefined) this.#tell();
  }

  check(): string[] {
    if (this.#writtenAtMs === undefined || this.#isClosed) return [];
    const { os, stateDir } = this.#context;
    const own = readShares(stateDir, os, this.#set).find(({ owner }) => owner === this.#instance);
    if (own?.share?.held === this.#held.size) return [];
    this.#tell();
    return [hostSharePath(stateDir, this.#set, this.#instance)];
  }

  close(): void {
    this.#isClosed = true;
    this.#stopPolling();
    this.#cancelRewrite?.();
    if (this.#writtenAtMs === undefined) return;
    try {
      removeShares(this.#context.stateDir, this.#instance);
    } catch {
      // A later sweep removes it, once this process is dead.
    }
  }

  get #instance(): string {
    return this.#context.owner().instance;
  }

  get #set(): string {
    return slotSetHash(this.#context.owner(), this.#kind);
  }

  get #limit(): number {
    return this.#context.limit() ?? NO_LIMIT;
  }

  get #sinceWriteMs(): number {
    return this.#context.os.clock.monotonicMs() - (this.#writtenAtMs ?? Number.NEGATIVE_INFINITY);
  }

  #sinceBootMs(monotonicMs: number): number {
    const { clock } = this.#context.os;
    return clock.sinceBootMs() - clock.monotonicMs() + monotonicMs;
  }

  #look(): MachineLook {
    return new MachineLook(this.#share(), this.#dead.owners, this.#context);
  }

  #share(): HostShareFile {
    const { os } = this.#context;
    return {
      version: FORMAT_VERSION,
      owner: this.#context.owner(),
      kind: this.#kind,
      limit: this.#limit,
      held: this.#held.size,
      holders: [...this.#held].flatMap(({ id }) => id ?? []).slice(0, MAX_SHARE_NAMES),
      waiting: this.#waiting.slice(0, MAX_SHARE_NAMES).map(({ sinceMs, request }) => ({
        sinceBootMs: this.#sinceBootMs(sinceMs),
        sessionId: request.sessionId?.slice(0, MAX_SESSION_CHARS),
      })),
      seenMs: os.clock.sinceBootMs(),
    };
  }

  #write(): void {
    const { os, stateDir } = this.#context;
    writeShare(stateDir, this.#share(), os);
    this.#writtenAtMs = os.clock.monotonicMs();
    this.#cancelRewrite?.();
    this.#cancelRewrite = undefined;
  }

  /** Writes what this host holds, at once or as soon as that can be done. */
  #tell(): void {
    if (this.#isClosed) return;
    try {
      this.#write();
    } catch {
      // The other hosts count at most too much until then.
      this.#cancelRewrite?.();
      this.#cancelRewrite = this.#context.os.clock.after(REWRITE_MS, () => this.#tell());
    }
  }

  #warnOnce(key: string, code: string, message: string, cause?: unknown): void {
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    // The host's listener may ask for a slot.
    queueMicrotask(() => this.#context.warn(code, message, cause));
  }
}

/** A slot that this host holds. */
class HeldSlot implements MachineSlot {
  readonly id: string | undefined;
  readonly release: () => void;

  constructor(id: string | undefined, release: () => void) {
    this.id = id;
    this.release = release;
  }
}
