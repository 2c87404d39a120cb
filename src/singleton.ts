import { SupervisorError } from './errors.ts';
import type { SupervisorOptions } from './options.ts';
import { builtin } from './os/builtin.ts';
import type { Os } from './os/os.ts';
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
 * Options apply until its first use; later, other ones than those in force are an error.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 */
export function getSupervisor(options?: SupervisorOptions): Supervisor {
  const host = globalThis as { [KEY]?: Singleton };
  host[KEY] ??= { supervisor: new Supervisor(options), options: options ?? {} };
  const singleton = host[KEY];
  if (options === undefined || builtin('node:util').isDeepStrictEqual(options, singleton.options))
    return singleton.supervisor;
  if (!singleton.supervisor.configure(options)) {
    throw new SupervisorError(
      'INVALID_OPTIONS',
      'getSupervisor: the options differ from those in force, and the supervisor is in use. Pass them where the host first calls getSupervisor, or use createSupervisor() for an isolated one.',
      { data: { field: 'options' } },
    );
  }
  singleton.options = options;
  return singleton.supervisor;
}

/** Creates a supervisor of its own, for tests and for hosts that need several. */
export function createSupervisor(options?: SupervisorOptions): Supervisor;
/** @internal On a system that a test has made. */
export function createSupervisor(options?: SupervisorOptions, os?: Os): Supervisor;
export function createSupervisor(options?: SupervisorOptions, os?: Os): Supervisor {
  return new Supervisor(options, os);
}
