import { type Supervisor, SupervisorError } from '../index.ts';
import { builtin } from '../os/builtin.ts';
import { checkDefinition, type ServiceDefinition } from './definition.ts';
import { type Service, SupervisedService } from './service.ts';

interface Entry {
  readonly definition: ServiceDefinition;
  readonly service: SupervisedService;
}

/**
 * Defines a process that is to run once for the whole host, however many ask for it; starts nothing yet.
 *
 * The same definition gives the same service; it ends with `close()`, with its supervisor, or with the host.
 *
 * @throws SupervisorError `INVALID_OPTIONS`, also for another definition of a name that is in use
 *
 * @example
 * ```ts
 * const chroma = defineService(supervisor, { name: 'chroma', command: 'chroma', args: ['run'], ready: { port: 8000 } });
 * const { pid } = await chroma.ensure();
 * ```
 */
export function defineService(supervisor: Supervisor, definition: ServiceDefinition): Service {
  const { services, check } = foundationOf(supervisor);
  const checked = checkDefinition(definition, check);
  const { name } = checked;
  const known = services.get(name) as Entry | undefined;
  if (known !== undefined && known.service.state !== 'closed') {
    if (builtin('node:util').isDeepStrictEqual(known.definition, definition)) return known.service;
    throw new SupervisorError(
      'INVALID_OPTIONS',
      `defineService: "name" is "${name}", which has another definition in this host. Define it once and share the service, close() the other one first, or take another name.`,
      { data: { field: 'name', value: name } },
    );
  }
  const service = new SupervisedService(supervisor, checked, known?.service);
  const entry: Entry = { definition: { ...definition }, service };
  services.set(name, entry);
  return service;
}

function foundationOf(supervisor: Supervisor): Supervisor['foundation'] {
  const foundation = (supervisor as Supervisor | undefined)?.foundation;
  if (foundation !== undefined) return foundation;
  throw new SupervisorError(
    'INVALID_OPTIONS',
    'defineService: "supervisor" is no supervisor of this version. Pass what getSupervisor() returns.',
    { data: { field: 'supervisor' } },
  );
}
