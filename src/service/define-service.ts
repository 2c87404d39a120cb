import type { Supervisor } from '../index.ts';
import { internalsOf } from '../supervisor/internals.ts';
import { checkDefinition, type ServiceDefinition } from './definition.ts';
import { type Service, SupervisedService } from './service.ts';

interface Entry {
  readonly service: SupervisedService;
}

/**
 * Defines a process that is to run once for the whole host, however many ask for it; starts nothing yet.
 *
 * The same name gives the same service, with the newest definition: its functions at once, another
 * command, other arguments or another environment from its next start on. It ends with `close()`, with its supervisor, or with the host.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const chroma = defineService(supervisor, { name: 'chroma', command: 'chroma', args: ['run'], ready: { port: 8000 } });
 * const { pid } = await chroma.ensure();
 * ```
 */
export function defineService(supervisor: Supervisor, definition: ServiceDefinition): Service {
  const { services, check } = internalsOf(supervisor, 'defineService');
  const checked = checkDefinition(definition, check);
  const { name } = checked;
  const known = services.get(name) as Entry | undefined;
  if (known !== undefined && known.service.state !== 'closed') {
    known.service.redefine(checked);
    return known.service;
  }
  const service = new SupervisedService(supervisor, checked, known?.service);
  services.set(name, { service });
  return service;
}
