import type { ExitCause, ProcessInfo, ProcessName, ServiceState } from '../index.ts';
import type { ProcessLimits } from '../policy/limits/limits.ts';
import type { OwnerVerdict } from '../tree/identity.ts';

/**
 * What the doctor finds. Stable JSON, with `null` for what is not known; `doctorReportSchema()` is its
 * JSON Schema. It holds names, numbers and sentences of ours: no environment value, no argument, no
 * word of a process's output, and no folder but the state directory.
 */
export interface DoctorReport {
  /** Raised when a field goes or changes its meaning; new fields may come without it. */
  readonly version: 1;
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly tookMs: number;
  /** The worst of the checks. */
  readonly status: CheckStatus;
  readonly checks: readonly Check[];
  readonly host: HostHealth;
  /** `null` where the doctor looks from outside the host. */
  readonly supervisor: SupervisorHealth | null;
  /** Every supervisor that has a journal in the state directory, ours first. */
  readonly owners: readonly OwnerHealth[];
  /** What these owners have written down, in start order; what outlives its host too. */
  readonly processes: readonly ProcessHealth[];
  /** Those with a process, and the ones seen last. */
  readonly sessions: readonly SessionHealth[];
  readonly services: readonly ServiceHealth[];
  readonly stateDir: StateDirHealth;
  readonly environment: EnvironmentHealth;
  /** The last ends, newest first, of every host of the state directory. */
  readonly ends: readonly EndNote[];
}

export type CheckStatus = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Check {
  /** Stable: `guardian`, `state-dir`, … */
  readonly id: string;
  readonly status: CheckStatus;
  /** What it means, in one sentence. */
  readonly summary: string;
  /** What to do, in one sentence; `null` when there is nothing to do. */
  readonly advice: string | null;
}

/** The process that looks: the host itself, or the command. */
export interface HostHealth {
  readonly pid: number;
  readonly machine: string;
  readonly platform: string;
  readonly arch: string;
  readonly runtime: string;
  readonly runtimeVersion: string;
  readonly packageVersion: string;
  /** What this package contains of others; empty where it runs from its sources. */
  readonly bundled: readonly { readonly name: string; readonly version: string }[];
  readonly rssBytes: number;
  /** How many supervisors it is below. */
  readonly depth: number;
  readonly maxDepth: number | null;
  readonly openFiles: Quota | null;
  /** Processes and threads of the control group (container) that it is in. */
  readonly tasks: Quota | null;
}

/** How much is used of what there is; `limit` is `null` where there is none. */
export interface Quota {
  readonly used: number;
  readonly limit: number | null;
}

export interface SupervisorHealth {
  readonly instance: string | null;
  readonly state: 'new' | 'running' | 'stopping' | 'stopped';
  readonly pool: PoolHealth;
  readonly guardian: GuardianHealth;
  /** By which resource limit it finds processes that have lost their environment; `null` before start and after stop. */
  readonly rlimitTag: RlimitTagHealth | null;
  /** What this host has charged so far. */
  readonly spentUsd: number;
}

export interface PoolHealth {
  readonly concurrency: number;
  /** Slots that are held. */
  readonly running: number;
  readonly waiting: number;
  readonly oldestWaitMs: number | null;
  /** Who waits for a slot, the next one first. */
  readonly queue: readonly WaitingRequest[];
  /** How many of its processes count to the cap. */
  readonly live: number;
  readonly hardCap: number;
}

export interface WaitingRequest {
  readonly sessionId: string | null;
  readonly priority: number;
  readonly waitedMs: number;
}

export interface GuardianHealth {
  /** `unneeded` where the system ends a dead host's children itself; `closed` before start and after stop. */
  readonly state: 'guarding' | 'starting' | 'stopped' | 'missing' | 'off' | 'unneeded' | 'closed';
  readonly pid: number | null;
}

export interface RlimitTagHealth {
  /** `off`: processes are found by the cookie in their environment alone. */
  readonly limit: 'locks' | 'rss' | 'rttime' | 'off';
  /** Why it is not `locks`. */
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
 * Whether the process with the recorded pid is the recorded one: `gone` and `recycled` (the pid is
 * someone else's now) are dead, `unproven` was never told apart, `elsewhere` is another machine's or
 * container's, `rebooted` is of an earlier boot.
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
  /** `null` where another host is its owner. */
  readonly state: ProcessInfo['state'] | null;
  readonly holdsSlot: boolean | null;
  readonly outlivesHost: boolean;
  /** Wall clock, ms since 1970. */
  readonly startedAt: number;
  readonly ageMs: number;
  /** Of the whole tree, in percent of one core; `null` if it could not be measured. */
  readonly cpuPercent: number | null;
  /** Of the whole tree; shared pages count once for each process. */
  readonly rssBytes: number | null;
  readonly descendants: readonly (ProcessName & { readonly ppid: number })[];
  /** `null` where another host is its owner. */
  readonly limits: ProcessLimits | null;
  /** Until `limits.lifetimeMs`. */
  readonly lifetimeLeftMs: number | null;
  /** Until its session has lasted as long as it may. */
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
  /** How many were started for it so far. */
  readonly started: number;
  /** How many are alive, of all hosts. */
  readonly live: number;
  readonly lastEnd: { readonly at: number; readonly cause: ExitCause } | null;
  readonly spentUsd: number;
  readonly spentTokens: number;
}

export interface ServiceHealth {
  readonly name: string;
  /** `null` where no service of this name is defined in this host. */
  readonly state: ServiceState | null;
  readonly pid: number | null;
  /** Failures in a row, of all hosts. */
  readonly failures: number;
  /** For how much longer its breaker is open; 0 is closed. */
  readonly openForMs: number;
}

export interface StateDirHealth {
  /** The home folder is written as `~`. */
  readonly path: string;
  readonly exists: boolean;
  /** In octal, such as `700`; `null` where there is no folder, or where the system has no user ids. */
  readonly mode: string | null;
  readonly ownerUid: number | null;
  readonly files: readonly FileGroup[];
  readonly bytes: number;
  /** What its file system has left for us. */
  readonly freeBytes: number | null;
  /** Files that others may have written, or may read. */
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
    | 'order'
    | 'folder'
    | 'half-written'
    | 'other';
  readonly count: number;
  readonly bytes: number;
}

/** Names of variables; never a value. */
export interface EnvironmentHealth {
  /** The host itself was started by an agent. */
  readonly nested: boolean;
  /** What shows that. */
  readonly markers: readonly string[];
  /** What a child would not inherit. */
  readonly dropped: readonly string[];
  /** What programs need, and is not there. */
  readonly missing: readonly string[];
  readonly proxy: readonly string[];
  /** By which an agent could log in. */
  readonly logins: readonly string[];
}

/** The end of one process, as it is written down. */
export interface EndNote {
  /** Wall clock, ms since 1970. */
  readonly at: number;
  readonly owner: string;
  readonly id: string;
  readonly pid: number | null;
  readonly command: string;
  readonly kind: string;
  readonly sessionId: string | null;
  /** `null`: it is gone, and nobody has seen how. */
  readonly cause: ExitCause | null;
  readonly code: number | null;
  readonly signal: string | null;
  readonly forced: boolean;
  readonly durationMs: number;
}
