import type { Registry } from '../containment/registry.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import { cleanupFailed } from './cleanup.ts';
import { cleanupCommand, type DeadProcess } from './ending-rules.ts';
import { runCleanup } from './start.ts';
import type { Supervision } from './supervision.ts';

/**
 * Runs the cleanup that a dead host's record names, if this host's own code has registered one of that name.
 * Nothing else of the record decides what is run: anybody who can write the folder could have forged it.
 */
export async function cleanUpFor(
  record: SupervisionRecord,
  s: Supervision,
  registry: Registry,
): Promise<void> {
  const { cleanup: name = '', id } = record;
  const { cleanups } = s.options;
  const registered = Object.hasOwn(cleanups, name) ? cleanups[name] : undefined;
  if (registered === undefined) {
    const message = `The cleanup "${name}" of the process "${id}" of a dead host was not run here: this host has registered no cleanups["${name}"].`;
    s.emit('warning', { code: 'CLEANUP', message, cause: undefined });
    return;
  }
  const failure = await run(registered, record, s, registry).catch((error) => String(error));
  if (failure !== undefined) s.emit('warning', cleanupFailed(name, id, failure));
}

async function run(
  registered: RegisteredCleanup,
  record: SupervisionRecord,
  s: Supervision,
  registry: Registry,
): Promise<string | undefined> {
  if (typeof registered !== 'function') return runCleanup(s, registry, registered);
  const command = cleanupCommand.safeParse(registered(describe(record)));
  if (!command.success) return 'its function returned no { command, args }';
  return runCleanup(s, registry, command.data);
}

type RegisteredCleanup = Supervision['options']['cleanups'][string];

function describe({
  id,
  pid,
  command,
  kind,
  sessionId,
  cwd,
  startedAt,
}: SupervisionRecord): DeadProcess {
  return { id, pid, command, kind, sessionId, cwd, startedAt };
}
