export { type EmptyValue, normalizeSpawnArgs } from './claude-code/arguments.ts';
export {
  ERROR_CODES,
  isSupervisorError,
  SupervisorError,
  type SupervisorErrorCode,
} from './errors.ts';
export type { ProcessSubject, ServiceState, SupervisorEvent, SupervisorEvents } from './events.ts';
export type { OutputTarget } from './os/os.ts';
export { isProcessAlive } from './os/system.ts';
export type { Budget } from './policy/budget.ts';
export type { OnDuplicate } from './policy/conversation-rules.ts';
export type { LimitOptions, Limits } from './policy/limits/limits.ts';
export type { RunOutcome } from './policy/restart-policy.ts';
export type { AdoptOptions } from './process/adopt-options.ts';
export type {
  Cleanup,
  DeadProcess,
  EndingOptions,
  LeftoverAction,
  LeftoverRule,
} from './process/ending-rules.ts';
export {
  type EnvironmentRules,
  ESSENTIAL_NAMES,
  type NamePattern,
  type SanitizedEnv,
  type SanitizeOptions,
  sanitizeEnv,
} from './process/environment.ts';
export type { SupervisedProcess, TerminateOptions } from './process/handle.ts';
export type { SpawnRequest } from './process/request.ts';
export type { StdioOptions } from './process/stdio-options.ts';
export type {
  EndReport,
  ExitCause,
  ExitReport,
  KeptProcess,
  Orphan,
  PoolPause,
  ProcessInfo,
  ProcessInspection,
  ProcessName,
  RlimitTagReport,
  SessionEnd,
  SessionInfo,
  StartReport,
  Survivor,
  SweepReport,
  Unproven,
  WaitCause,
  WaitsFor,
} from './reports.ts';
export type { Spent } from './store/spend-log.ts';
export type { HostSignal, HostSignalOptions } from './supervisor/host-signals.ts';
export type {
  AcquireOptions,
  Launch,
  LeaseAdoptOptions,
  SlotLease,
} from './supervisor/lease.ts';
export type { StopOptions, SupervisorState } from './supervisor/lifecycle.ts';
export type { SupervisorOptions } from './supervisor/options.ts';
export type {
  HookDefaults,
  HookOptions,
  LaunchOptions,
  SpawnHook,
} from './supervisor/requests.ts';
export type { Run, RunAttempt, RunReport } from './supervisor/restart-loop.ts';
export type { RunOptions } from './supervisor/runs.ts';
export { createSupervisor, getSupervisor } from './supervisor/singleton.ts';
export type { Supervisor } from './supervisor/supervisor.ts';
export type { PoolKey, PoolRequest, SupervisorPool } from './supervisor/supervisor-pool.ts';
export { classifyExit, type ExitContext, type ExitVerdict } from './tree/exit-cause.ts';
export type { StopSignal } from './tree/ladder.ts';
