import type { Supervisor } from '../index.ts';
import { Breaker } from '../policy/breaker.ts';
import { servicePath } from '../store/layout.ts';
import { restartFile } from '../store/restart-log.ts';
import { ServiceFile } from '../store/service-file.ts';
import type { CheckedDefinition } from './definition.ts';
import { RestartPacer } from './restart-pacer.ts';
import { ServiceEndpoint } from './service-endpoint.ts';

/** The parts of a service that decide and remember. */
export interface ServiceParts {
  readonly file: ServiceFile;
  readonly breaker: Breaker;
  readonly pacer: RestartPacer;
  readonly endpoint: ServiceEndpoint;
}

/** Puts them together on the system and the state directory of a supervisor; the definition may be replaced in place. */
export function partsOf(supervisor: Supervisor, definition: CheckedDefinition): ServiceParts {
  const { os, stateDir, warn: tell } = supervisor.internals;
  const { name, policy, breaker: options } = definition;
  const warn = (message: string, cause?: unknown) => tell('SERVICE', message, cause);
  const longestOpenMs = Math.max(options.openMs, policy.windowMs);
  const file = new ServiceFile({
    os,
    path: servicePath(stateDir, name),
    name,
    longestOpenMs,
    warn,
  });
  const breaker = new Breaker(
    {
      get failures() {
        return definition.breaker.failures;
      },
      get openMs() {
        return definition.breaker.openMs;
      },
    },
    file,
  );
  const budget = restartFile({ os, stateDir, of: `service ${name}`, warn });
  const pacer = new RestartPacer({
    clock: os.clock,
    get policy() {
      return definition.policy;
    },
    ...{ breaker, budget, random: Math.random },
  });
  return { file, breaker, pacer, endpoint: new ServiceEndpoint(supervisor, definition, file) };
}
