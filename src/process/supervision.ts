import type { EmptyValue } from '../claude-code/arguments.ts';
import type { Registry } from '../containment/registry.ts';
import type { Budget, Spending } from '../policy/budget.ts';
import type { OnDuplicate } from '../policy/conversation-rules.ts';
import type { Pool } from '../policy/pool.ts';
import type { Session, Sessions } from '../policy/session.ts';
import type { SpawnRate } from '../policy/spawn-rate.ts';
import type { EnvironmentRules } from './environment.ts';
import type { Handle } from './handle.ts';
import type { LiveContext, LiveProcess } from './managed-process.ts';
import type { QueueContext } from './queue.ts';
import type { CheckedRequest } from './request.ts';

/** What the stations share; the supervisor composes it. */
export interface Corridor extends LiveContext, QueueContext {
  readonly options: LiveContext['options'] & {
    readonly pool: { readonly hardCap: number };
    readonly environment: EnvironmentRules;
    readonly leftovers: 'terminate' | 'keep';
    readonly maxDepth: number;
    readonly conversation: { readonly onDuplicate: OnDuplicate };
    readonly budget: Budget;
  };
  readonly sessions: Sessions;
  /** `undefined` without a limit. */
  readonly rate: SpawnRate | undefined;
  readonly spending: Spending;
  readonly pool: Pool;
  /** For what needs no slot: it only waits until the host is guarded. */
  readonly gate: Pool;
  /** What runs, in start order. */
  readonly live: Map<string, LiveProcess>;
  nextId(): string;
  /** Our registry, opened at first use; throws while nothing may start. */
  registry(): Registry;
  /** Puts limits on a process; returns how to take them off. */
  arm(process: LiveProcess, limits: CheckedRequest['limits']): () => void;
}

/** How a request is read: the Claude hook knows what its program makes of it, other callers do not. */
export interface Dialect {
  /** Arguments and environment are Claude's, and its stdout is: a frame of JSON a line. */
  readonly isClaude: boolean;
  readonly emptyValue: EmptyValue;
}

/** One way out and back. */
export interface Passage extends Corridor, WayBack {
  readonly request: CheckedRequest;
  readonly dialect: Dialect;
  readonly holdsSlot: boolean;
  readonly session: Session | undefined;
}

/** What the way back needs: of an adopted process there is no more. */
export interface WayBack extends Pick<Corridor, 'os' | 'options' | 'emit' | 'live'> {
  readonly request: Pick<CheckedRequest, 'leftovers'>;
  readonly handle: Handle;
  readonly session: Session | undefined;
}
