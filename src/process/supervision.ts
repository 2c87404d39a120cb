import type { Registry } from '../containment/registry.ts';
import type { Budget } from '../policy/budget.ts';
import type { OnDuplicate } from '../policy/conversation-rules.ts';
import type { Limiter } from '../policy/limits/limiter.ts';
import type { HardCaps } from '../policy/pool.ts';
import type { Admission } from './admission.ts';
import type { EnvironmentRules } from './environment.ts';
import type { ManagedProcess, ProcessContext } from './managed-process.ts';

/** What every process of one supervisor shares; built once, and passed by reference. */
export interface Supervision extends ProcessContext {
  readonly options: ProcessContext['options'] & {
    readonly pool: HardCaps;
    readonly environment: EnvironmentRules;
    readonly leftovers: 'terminate' | 'keep';
    readonly maxDepth: number;
    readonly conversation: { readonly onDuplicate: OnDuplicate };
    readonly budget: Budget;
  };
  readonly admission: Admission;
  readonly limits: Limiter;
  /** What runs, in start order. */
  readonly live: Map<string, ManagedProcess>;
  /** What waits for a slot or for its conversation. */
  readonly queued: Set<ManagedProcess>;
  nextId(): string;
  /** Our registry, opened at first use; throws while nothing may start. */
  registry(): Registry;
}
