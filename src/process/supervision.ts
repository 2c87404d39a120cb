import type { Registry } from '../containment/registry.ts';
import type { Budget } from '../policy/budget.ts';
import type { OnDuplicate } from '../policy/conversation-rules.ts';
import type { Limiter } from '../policy/limits/limiter.ts';
import type { PoolOptions } from '../policy/pool-options.ts';
import type { Admission } from './admission.ts';
import type { LeftoverAction, RegisteredCleanups } from './ending-rules.ts';
import type { EnvironmentRules } from './environment.ts';
import type { ManagedProcess, ProcessContext } from './managed-process.ts';

/** The parts that all processes of one supervisor share; built once, and passed by reference. */
export interface Supervision extends ProcessContext {
  readonly options: ProcessContext['options'] & {
    readonly pool: Pick<PoolOptions, 'pauseOnUsageLimit'>;
    readonly environment: EnvironmentRules;
    readonly leftovers: LeftoverAction;
    readonly cleanups: RegisteredCleanups;
    readonly maxDepth: number;
    readonly conversation: { readonly onDuplicate: OnDuplicate };
    readonly budget: Budget;
  };
  readonly admission: Admission;
  readonly limits: Limiter;
  /** The running processes, in start order. */
  readonly live: Map<string, ManagedProcess>;
  /** The processes that were let go, as long as their trees live. */
  readonly disowned: Map<string, ManagedProcess>;
  /** The processes that others were asked to launch, until they are adopted. */
  readonly launching: Set<ManagedProcess>;
  /** The requests that wait for a slot or for their conversation. */
  readonly queued: Set<ManagedProcess>;
  nextId(): string;
  /** Returns the registry, opened at first use; throws while no process may start. */
  registry(): Registry;
}
