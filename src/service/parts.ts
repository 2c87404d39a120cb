import type { Supervisor } from '../index.ts';
import { restartFile } from '../store/restart-log.ts';
import { Breaker } from './breaker.ts';
import type { CheckedDefinition } from './definition.ts';
import { Pace } from './pace.ts';
import { Place } from './place.ts';
import { ServiceFile } from './service-file.ts';

/** What a service decides by, and what it remembers. */
export interface ServiceParts {
  readonly file: ServiceFile;
  readonly breaker: Breaker;
  readonly pace: Pace;
  readonly place: Place;
}

/** Composes them on the system and the state directory of a supervisor; the definition may be replaced in place. */
export function partsOf(supervisor: Supervisor, definition: CheckedDefinition): ServiceParts {
  const { os, stateDir, warn: tell } = supervisor.internals;
  const { name, policy, breaker: options } = definition;
  const warn = (message: string, cause?: unknown) => tell('SERVICE', message, cause);
  const longestOpenMs = Math.max(options.openMs, policy.windowMs);
  const file = new ServiceFile({ os, stateDir, name, longestOpenMs, warn });
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
  const pace = new Pace({
    clock: os.clock,
    get policy() {
      return definition.policy;
    },
    ...{ breaker, budget, random: Math.random },
  });
  return { file, breaker, pace, place: new Place(supervisor, definition, file) };
}
