import type { ExitCause, ProcessInfo, ProcessName, ServiceState, WaitCause } from '../index.ts';
import type { ProcessLimits } from '../policy/limits/limits.ts';
import type { OwnerVerdict } from '../tree/identity.ts';

/**
 * A report on a host, its supervisor and its state directory, as stable JSON.
 *
 * Unknown values are `null`. `doctorReportSchema()` returns its JSON Schema. It holds no environment
 * value, argument or output of a process, and no folder but the state directory.
 */
export interface DoctorReport {
  /** Raised when a field is removed or changes its meaning, but not for new fields. */
  readonly version: 1;
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly tookMs: number;
  /** The worst of the checks. */
  readonly status: CheckStatus;
  readonly checks: readonly Check[];
  readonly host: HostHealth;
  /** `null` in a report from outside the host. */
  readonly supervisor: SupervisorHealth | null;
  /** Every supervisor with a journal in the state directory, this one first. */
  readonly owners: readonly OwnerHealth[];
  /** Every process that these owners have recorded, oldest first, with those that outlive their host. */
  readonly processes: readonly ProcessHealth[];
  /** Sessions with a live process, and those seen last. */
  readonly sessions: readonly SessionHealth[];
  /** The slots that hosts of this machine share; empty where none names `pool.machineConcurrency`. */
  readonly machineSlots: readonly MachineSlotsHealth[];
  readonly services: readonly ServiceHealth[];
  readonly stateDir: StateDirHealth;
  readonly environment: EnvironmentHealth;
  /** The last ends of processes of all hosts, newest first. */
  readonly ends: readonly EndNote[];
}

export type CheckStatus = 'ok' | 'warn' | 'fail';

/** The result of one check. */
export interface Check {
  /** Stable: `guardian`, `state-dir`, … */
  readonly id: string;
  readonly status: CheckStatus;
  /** The finding, in one sentence. */
  readonly summary: string;
  /** The remedy, in one sentence; `null` when there is nothing to do. */
  readonly advice: string | null;
}

/** The process that made the report: the host itself, or the command. */
export interface HostHealth {
  readonly pid: number;
  readonly machine: string;
  readonly platform: string;
  readonly arch: string;
  readonly runtime: string;
  readonly runtimeVersion: string;
  readonly packageVersion: string;
  /** Packages bundled into this one; empty when it runs from its sources. */
  readonly bundled: readonly { readonly name: string; readonly version: string }[];
  readonly rssBytes: number;
  /** Number of supervisors above this host: 1 in a host that an agent has started. */
  readonly depth: number;
  readonly maxDepth: number | null;
  readonly openFiles: Quota | null;
  /** Processes and threads of the host's control group (container). */
  readonly tasks: Quota | null;
}

/** Usage of a limited resource; `limit` is `null` where there is no limit. */
export interface Quota {
  readonly used: number;
  readonly limit: number | null;
}

export interface SupervisorHealth {
  readonly instance: string | null;
  readonly state: 'new' | 'running' | 'stopping' | 'stopped';
  readonly pool: PoolHealth;
  readonly guardian: GuardianHealth;
  /** The resource limit that marks processes; `null` before start and after stop. */
  readonly rlimitTag: RlimitTagHealth | null;
  /** Dollars that this host has charged so far. */
  readonly spentUsd: number;
}

export interface PoolHealth {
  readonly concurrency: number;
  /** Number of held slots. */
  readonly running: number;
  readonly waiting: number;
  readonly oldestWaitMs: number | null;
  readonly paused: PauseHealth | null;
  /** Waiting requests, the next one first. */
  readonly queue: readonly WaitingRequest[];
  /** Keys that are held or waited for. */
  readonly keys: readonly KeyHealth[];
  /** Number of processes that count towards `hardCap`. */
  readonly live: number;
  readonly hardCap: number;
}

/** The pause of a pool; times are wall clock, ms since 1970. */
export interface PauseHealth {
  readonly reason: string;
  readonly since: number;
  /** `null` until it is resumed. */
  readonly until: number | null;
}

export interface KeyHealth {
  readonly key: string;
  /** Number of those that hold it. */
  readonly running: number;
  /** `null` without a bound. */
  readonly limit: number | null;
}

export interface WaitingRequest {
  readonly sessionId: string | null;
  /** `null` for a lease. */
  readonly kind: string | null;
  readonly priority: number;
  readonly keys: readonly string[];
  readonly waitedMs: number;
  readonly waitsFor: { readonly cause: WaitCause; readonly name: string | null };
}

/** Slots that hosts of this machine share. */
export interface MachineSlotsHealth {
  /** The `--kind` of the runs that share them; `null` for those of `pool.machineConcurrency`. */
  readonly kind: string | null;
  /** The smallest number that a host names. */
  readonly limit: number;
  readonly held: number;
  /** Those that hold most first. */
  readonly hosts: readonly MachineHostHealth[];
}

export interface MachineHostHealth {
  readonly instance: string;
  readonly pid: number;
  readonly machine: string;
  readonly verdict: OwnerHealth['verdict'];
  /** The number that this host names. */
  readonly limit: number;
  readonly held: number;
  /** The ids of the processes that hold them; a lease has none. */
  readonly holders: readonly string[];
  /** Its requests that wait for nothing but a slot of the machine. */
  readonly waiting: readonly MachineWait[];
}

export interface MachineWait {
  readonly sessionId: string | null;
  readonly waitedMs: number;
  /** `host-silent`: its host is stopped or busy, and others go first meanwhile. */
  readonly why: 'slots-held' | 'others-first' | 'host-silent' | 'host-dead';
}

export interface GuardianHealth {
  /** `unneeded` where the system ends a dead host's children itself; `closed` before start and after stop. */
  readonly state: 'guarding' | 'starting' | 'stopped' | 'missing' | 'off' | 'unneeded' | 'closed';
  readonly pid: number | null;
}

export interface RlimitTagHealth {
  /** With `off`, processes are found only by the cookie in their environment. */
  readonly limit: 'locks' | 'rss' | 'rttime' | 'off';
  /** The reason why it is not `locks`. */
  readonly reason: string | null;
}

export interface OwnerHealth {
  readonly instance: string;
  readonly pid: number;
  readonly machine: string;
  readonly verdict: 'ours' | OwnerVerdict;
  /** Wall clock, ms since 1970. */
  readonly openedAt: number;
  readonly processes: number;
}

/**
 * The state of a recorded process, judged by its pid and start time.
 *
 * `gone` and `recycled` (another process has the pid now) are dead. `unproven` cannot be identified,
 * `elsewhere` belongs to another machine or container, and `rebooted` to an earlier boot.
 */
export type IdentityVerdict =
  | 'alive'
  | 'zombie'
  | 'gone'
  | 'recycled'
  | 'unproven'
  | 'elsewhere'
  | 'rebooted';

export interface ProcessHealth {
  readonly id: string;
  /** The instance of the owner that started it. */
  readonly owner: string;
  readonly pid: number;
  /** The program's name, without its arguments. */
  readonly command: string;
  readonly kind: string;
  readonly sessionId: string | null;
  readonly identity: IdentityVerdict;
  /** `null` for processes of other hosts. */
  readonly state: ProcessInfo['state'] | null;
  readonly holdsSlot: boolean | null;
  /** The keys under which its pool counts it. */
  readonly keys: readonly string[];
  readonly outlivesHost: boolean;
  /** `true` if its host has let it go: nobody supervises or ends it. */
  readonly disowned: boolean;
  /** The name of the command to run when its tree is dead. */
  readonly cleanup: string | null;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
  readonly ageMs: number;
  /** CPU of the whole tree, in percent of one core; `null` if it could not be measured. */
  readonly cpuPercent: number | null;
  /** Memory of the whole tree; shared pages count once for each process. */
  readonly rssBytes: number | null;
  readonly descendants: readonly (ProcessName & { readonly ppid: number })[];
  /** `null` for processes of other hosts. */
  readonly limits: ProcessLimits | null;
  /** Time until `limits.lifetimeMs`. */
  readonly lifetimeLeftMs: number | null;
  /** Time until its session expires. */
  readonly sessionLeftMs: number | null;
}

export interface SessionHealth {
  readonly id: string;
  /** Wall clock, ms since 1970. */
  readonly createdAt: number;
  readonly ageMs: number;
  readonly maxWallClockMs: number | null;
  readonly leftMs: number | null;
  readonly expired: boolean;
  /** Number of processes started for it so far. */
  readonly started: number;
  /** Number of its live processes, of all hosts. */
  readonly live: number;
  readonly lastEnd: { readonly at: number; readonly cause: ExitCause } | null;
  readonly spentUsd: number;
  readonly spentTokens: number;
}

export interface ServiceHealth {
  readonly name: string;
  /** `null` where this host has defined no service of this name. */
  readonly state: ServiceState | null;
  readonly pid: number | null;
  /** Failures in a row, of all hosts. */
  readonly failures: number;
  /** Time until its circuit breaker lets a start through; 0 when closed. */
  readonly openForMs: number;
}

export interface StateDirHealth {
  /** The path, with `~` for the home folder. */
  readonly path: string;
  readonly exists: boolean;
  /** The octal mode, such as `700`; `null` without a folder, or without user ids (Windows). */
  readonly mode: string | null;
  readonly ownerUid: number | null;
  readonly files: readonly FileGroup[];
  readonly bytes: number;
  /** Free space of its file system. */
  readonly freeBytes: number | null;
  /** Files that other users may have written, or can read. */
  readonly unsafe: readonly { readonly file: string; readonly why: string }[];
}

export interface FileGroup {
  readonly kind:
    | 'journal'
    | 'claim'
    | 'kept'
    | 'heartbeat'
    | 'session'
    | 'day'
    | 'history'
    | 'clock'
    | 'service'
    | 'restarts'
    | 'conversation'
    | 'pid-file'
    | 'socket'
    | 'lock'
    | 'share'
    | 'order'
    | 'folder'
    | 'half-written'
    | 'other';
  readonly count: number;
  readonly bytes: number;
}

/** Names of variables in the host's environment, never a value. */
export interface EnvironmentHealth {
  /** `true` if an agent has started this host. */
  readonly nested: boolean;
  /** Variables that show it. */
  readonly markers: readonly string[];
  /** Variables that children do not inherit. */
  readonly dropped: readonly string[];
  /** Variables that most programs need, and that are not set. */
  readonly missing: readonly string[];
  readonly proxy: readonly string[];
  /** Variables that an agent can log in with. */
  readonly logins: readonly string[];
}

/** The end of one process, as the history records it. */
export interface EndNote {
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly owner: string;
  readonly id: string;
  readonly pid: number | null;
  readonly command: string;
  readonly kind: string;
  readonly sessionId: string | null;
  /** `null` if no host saw it end. */
  readonly cause: ExitCause | null;
  readonly code: number | null;
  readonly signal: string | null;
  readonly forced: boolean;
  readonly durationMs: number;
}
