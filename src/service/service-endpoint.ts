import { lstatSync, rmSync } from 'node:fs';
import type { RecoveryContext } from '../containment/context.ts';
import { judgeHere } from '../containment/judge.ts';
import type { Supervisor } from '../index.ts';
import { canConnect } from '../os/probe.ts';
import { PROBE_MS, socketPath } from '../ready/readiness.ts';
import { filesIn } from '../store/files.ts';
import type { ServiceFile } from '../store/service-file.ts';
import { isOver } from '../tree/identity.ts';
import type { CheckedDefinition } from './definition.ts';
import { assertFree, localEndpointOf } from './endpoint.ts';

/** An abstract socket, or a named pipe of Windows. */
const NO_FILE = /^(?:\0|\\\\[.?]\\pipe\\)/i;

/** The endpoint of a service, and the files that the service makes. */
export class ServiceEndpoint {
  readonly #supervisor: Supervisor;
  readonly #definition: CheckedDefinition;
  readonly #file: ServiceFile;
  /** The files that were there before the start: they are not its own. */
  #before: ReadonlyMap<string, string | undefined> = new Map();

  constructor(supervisor: Supervisor, definition: CheckedDefinition, file: ServiceFile) {
    this.#supervisor = supervisor;
    this.#definition = definition;
    this.#file = file;
  }

  /**
   * Ends and removes what dead hosts and dead instances have left there.
   *
   * @throws SupervisorError `ALREADY_RUNNING` if a stranger is there
   */
  async clear(): Promise<void> {
    const { os, stateDir, recovery } = this.#supervisor.internals;
    if (hasOthers(stateDir)) await this.#supervisor.sweep();
    await removeRemains(this.#file, await recovery());
    const endpoint = localEndpointOf(this.#definition.ready);
    if (endpoint !== undefined) await assertFree(endpoint, this.#definition.name, os);
    this.#before = new Map(this.#paths.map((path) => [path, keyOf(path)]));
  }

  /** Remembers whose the files are from now on. */
  take(id: string): void {
    if (this.#paths.length === 0) return;
    const { os, recordOf } = this.#supervisor.internals;
    const { pid, startTime, bootId, pidNamespace } = recordOf(id) ?? {};
    // Without them, nothing could be proven later.
    if (pid === undefined || startTime === undefined) return;
    const files = this.#paths.flatMap((path) => {
      const key = keyOf(path);
      return key === undefined || key === this.#before.get(path) ? [] : [{ path, key }];
    });
    const { machine } = os.identify();
    const { heartbeat } = this.#supervisor.internals;
    this.#file.instance = {
      heartbeat,
      machine,
      pid,
      startTime,
      bootId: bootId ?? '',
      pidNamespace: pidNamespace ?? '',
      files,
    };
  }

  get #paths(): readonly string[] {
    const { ready, lockFiles } = this.#definition;
    if (ready === undefined || !('socket' in ready.by)) return lockFiles;
    const socket = socketPath(ready.by.socket);
    return NO_FILE.test(socket) ? lockFiles : [...lockFiles, socket];
  }
}

/**
 * Removes the sockets and locks that the last instance has made. It must be proven dead, and no process may
 * listen there.
 */
async function removeRemains({ instance }: ServiceFile, context: RecoveryContext): Promise<void> {
  if (instance === undefined || instance.files.length === 0) return;
  const { verdict } = await judgeHere(instance, context);
  if (!isOver(verdict)) return;
  for (const { path, key } of instance.files) {
    if (keyOf(path) !== key || (await isListenedOn(path))) continue;
    if (keyOf(path) === key) rmSync(path, { force: true });
  }
}

/** Tells a file from a later one of the same name; `undefined` when there is none. */
function keyOf(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  // An inode's number alone is soon given to another.
  return stat?.isDirectory() === false ? `${stat.dev} ${stat.ino} ${stat.birthtimeNs}` : undefined;
}

async function isListenedOn(path: string): Promise<boolean> {
  const isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket();
  return isSocket === true && canConnect({ socket: path }, PROBE_MS);
}

/** Tells if hosts other than this one have a journal, or have left one. */
function hasOthers(stateDir: string): boolean {
  return filesIn(stateDir, 'journal', 'claim').length > 1;
}
