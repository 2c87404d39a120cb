// What the package's other entries reach of a supervisor beside its public API.
import type { RecoveryContext } from '../containment/context.ts';
import type { Registry } from '../containment/registry.ts';
import { SupervisorError } from '../errors.ts';
import type { Emit, ServiceState } from '../events.ts';
import type { Os } from '../os/os.ts';
import type { Pool } from '../policy/pool.ts';
import type { SupervisedProcess } from '../process/handle.ts';
import type { ManagedProcess } from '../process/managed-process.ts';
import type { SpawnRequest } from '../process/request.ts';
import type { ProcessName, RlimitTagReport, SessionInfo } from '../reports.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import type { SupervisorState } from './lifecycle.ts';
import type { ResolvedOptions } from './options.ts';

export type { JoinMachine, Machine, MachineContext } from '../containment/machine.ts';
export { hostSignalOptions } from './host-signals.ts';
export {
  findStateDir,
  type ResolvedOptions,
  resolveOptions,
  type SupervisorOptions,
  supervisorOptions,
} from './options.ts';

/** @internal A service as its supervisor knows it. */
export interface DefinedService {
  readonly service: { readonly state: ServiceState; readonly pid: number | undefined };
}

/** @internal The state of a supervisor at one moment. */
export interface SupervisorSnapshot {
  readonly state: SupervisorState;
  readonly options: ResolvedOptions;
  readonly instance: string | undefined;
  readonly pool: Pool;
  /** Number of live processes that `pool.hardCap` counts. */
  readonly countedByCap: number;
  /** `undefined` while no registry is open. */
  readonly guardian: Registry['guardian'] | undefined;
  readonly rlimitTag: RlimitTagReport | undefined;
  readonly clockJumpMs: number | undefined;
  readonly spentUsd: number;
}

/** @internal The parts of a supervisor that the package's other entries build on. */
export interface SupervisorInternals {
  readonly os: Os;
  readonly stateDir: string;
  readonly emit: Emit;
  /** By name; kept here, so that two loaded copies of the package share them. */
  readonly services: Map<string, DefinedService>;
  /** By which others see from elsewhere that we live; `undefined` while no registry is open. */
  readonly heartbeat: string | undefined;
  /** The live processes, in start order. */
  readonly live: ReadonlyMap<string, ManagedProcess>;
  warn(code: string, message: string, cause?: unknown): void;
  /** Checks a request without starting anything; throws `INVALID_OPTIONS` in the name of `subject`. */
  check(request: SpawnRequest, subject: string): void;
  /**
   * Starts what serves others (an MCP server, a service), which the default hard cap does not count.
   *
   * With `tellsReady` it counts as starting until `started` is called for it.
   */
  spawnServer(request: SpawnRequest, tellsReady?: boolean): SupervisedProcess;
  /** Ends the start of a process that is ready. */
  started(id: string): void;
  /** The means to judge others' processes and files in this supervisor's name. */
  recovery(): Promise<RecoveryContext>;
  /** The record of a live process. */
  recordOf(id: string): SupervisionRecord | undefined;
  /** The members of a live process's tree. */
  membersOf(id: string): Promise<readonly ProcessName[]>;
  snapshot(): SupervisorSnapshot;
  session(id: string): SessionInfo | undefined;
  /** Tells if this host has asked for the end of a process; known until its exit has been told. */
  wasAsked(id: string): boolean;
}

/**
 * @internal
 *
 * Gives the internals of what a user has passed as a supervisor.
 *
 * @throws SupervisorError `INVALID_OPTIONS` in the name of `subject` for what is none of this version
 */
export function internalsOf(
  supervisor: { readonly internals: SupervisorInternals } | undefined,
  subject: string,
): SupervisorInternals {
  if (supervisor?.internals !== undefined) return supervisor.internals;
  throw new SupervisorError(
    'INVALID_OPTIONS',
    `${subject}: "supervisor" is no supervisor of this version. Pass what getSupervisor() returns.`,
    { data: { field: 'supervisor' } },
  );
}

/** @internal A supervisor as the search for leaks sees it. */
export interface OpenedSupervisor {
  readonly internals: SupervisorInternals;
  stop(options?: { deadlineMs?: number | undefined }): Promise<unknown>;
}

/** @internal A supervisor that has been opened, and may be gone by now. */
export interface Opened {
  readonly supervisor: WeakRef<OpenedSupervisor>;
  /** The ids of processes whose leftovers live on; known even when the supervisor is gone. */
  readonly kept: ReadonlySet<string>;
}

// A registered symbol, so that the supervisors of every loaded copy of the package are found.
const OPENED = Symbol.for('agent-supervisor.opened.v1');

/** @internal The supervisors opened in this host, by the instance that names each in its cookies. */
export function openedSupervisors(): Map<string, Opened> {
  const host = globalThis as { [OPENED]?: Map<string, Opened> };
  host[OPENED] ??= new Map();
  return host[OPENED];
}
