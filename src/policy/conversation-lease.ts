import type { Holder, OnDuplicate } from './conversation-rules.ts';
import type { RunningProcess } from './running-process.ts';

/** The locks on conversations, shared by all hosts of the state directory. */
export interface ConversationLocks {
  /** Locks a free conversation for one of this host's records; `false` if it is locked. */
  take(key: string, id: string): boolean;
  /** Passes this host's lock on to another of its records; `false` if the lock is lost. */
  pass(key: string, id: string): boolean;
  release(key: string): void;
  /** Tells other hosts since when this one waits for a conversation; `undefined` that it does not. */
  announce(key: string, sinceMs: number | undefined): void;
  /** True if another host has waited for it longer. */
  isPreceded(key: string, sinceMs: number): boolean;
  /**
   * Returns the owner of a lock and its name. For an owner out of reach only a sign of life after
   * `askedAtMs` counts.
   */
  holder(
    key: string,
    askedAtMs: number,
  ): Promise<{ readonly holder: Holder; readonly name: string }>;
  /** Recovers what a dead owner left; releases its locks last. */
  recover(): Promise<void>;
  /**
   * Ends a live owner's agent, so that it releases its lock; resolves to true if the agent is dead.
   */
  takeOver(key: string): Promise<boolean>;
}

/** A living agent that no supervisor has started, as its own CLI has recorded it. */
export interface ObservedAgent {
  readonly pid: number;
  /** The CLI's word for its use, as `interactive`. */
  readonly kind: string;
}

/** Explains in a clause that such an agent runs a conversation. */
export function describeObserved({ pid, kind }: ObservedAgent): string {
  return `process ${pid}, which no supervisor has started, runs it (${kind})`;
}

/** A request to run a conversation's agent. */
export interface ConversationRequest {
  readonly key: string;
  /** The id of the record that will run it. */
  readonly id: string;
  readonly policy: OnDuplicate;
  readonly isNew: boolean;
  /** Throws if the start would be refused anyway: then no agent is ended for it. */
  assertMayStart(): void;
  /** Finds an agent of no supervisor that runs the conversation. */
  observe?(): ObservedAgent | undefined;
}

export type Agent = Pick<RunningProcess, 'holds' | 'end'>;

/** The right to run a conversation's agent, from its grant to its release. */
export class ConversationLease {
  readonly key: string;
  /** Resolves once the agent runs; to `undefined` if it never does. */
  readonly #attached = Promise.withResolvers<Agent | undefined>();
  readonly #over = Promise.withResolvers<void>();
  readonly #onRelease: (lease: ConversationLease) => void;

  constructor(key: string, onRelease: (lease: ConversationLease) => void) {
    this.key = key;
    this.#onRelease = onRelease;
  }

  /** Records that the agent runs. */
  attach(agent: Agent): void {
    this.#attached.resolve(agent);
  }

  /**
   * Ends the agent as soon as it runs, if `isDue` is then true. Resolves to the survivors, or when
   * the lease is released.
   */
  async end(isDue: (agent: Agent) => boolean): Promise<readonly unknown[]> {
    const agent = await this.#attached.promise;
    if (agent === undefined || !isDue(agent)) return [];
    const reason = 'another request resumes its conversation';
    const { survivors } = await agent.end('duplicate', {}, reason);
    if (survivors.length === 0) await this.#over.promise;
    return survivors;
  }

  /** Called when the agent and its whole tree are dead, or were never started. */
  release(): void {
    this.#onRelease(this);
    this.#attached.resolve(undefined);
    this.#over.resolve();
  }
}
