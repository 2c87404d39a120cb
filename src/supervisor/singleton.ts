import type { JoinMachine } from '../containment/machine.ts';
import { builtin } from '../os/builtin.ts';
import type { Os } from '../os/os.ts';
import type { SupervisorOptions } from './options.ts';
import { Supervisor } from './supervisor.ts';

// A registered symbol, so that two loaded copies of the package share the host's one supervisor.
const KEY = Symbol.for('agent-supervisor.singleton.v1');

interface Singleton {
  readonly supervisor: Supervisor;
  options: SupervisorOptions;
}

/**
 * Returns the host's one supervisor.
 *
 * Other options than those in force take their place, as after a hot reload, and the warning
 * `OPTIONS_REPLACED` names old and new. What runs keeps the limits and the budget of its start; the
 * guardian keeps its ladder until the next `start()`.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, also for another `stateDir`, `guardian` or `rlimitTag` once
 * the supervisor is in use
 */
export function getSupervisor(options?: SupervisorOptions): Supervisor {
  const host = globalThis as { [KEY]?: Singleton };
  host[KEY] ??= { supervisor: new Supervisor(options), options: options ?? {} };
  const singleton = host[KEY];
  if (options === undefined || builtin('node:util').isDeepStrictEqual(options, singleton.options))
    return singleton.supervisor;
  singleton.supervisor.configure(options);
  singleton.options = options;
  return singleton.supervisor;
}

/** Creates a supervisor of its own, for tests and for hosts that need several. */
export function createSupervisor(options?: SupervisorOptions): Supervisor;
/** @internal On a system that a test has made. */
export function createSupervisor(
  options?: SupervisorOptions,
  os?: Os,
  join?: JoinMachine,
): Supervisor;
export function createSupervisor(
  options?: SupervisorOptions,
  os?: Os,
  join?: JoinMachine,
): Supervisor {
  return new Supervisor(options, os, join);
}
