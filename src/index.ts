export type { Budget, Spent } from './admission/budget.ts';
export type { OnDuplicate } from './admission/conversation.ts';
export type { RunOutcome } from './admission/restart.ts';
export type { Run, RunAttempt, RunReport } from './admission/run.ts';
export {
  ERROR_CODES,
  isSupervisorError,
  SupervisorError,
  type SupervisorErrorCode,
} from './errors.ts';
export type { ProcessSubject, ServiceState, SupervisorEvent, SupervisorEvents } from './events.ts';
export type { LimitOptions, Limits } from './limits/limits.ts';
export type { SupervisorOptions } from './options.ts';
export type { OutputTarget } from './os/os.ts';
export { isProcessAlive } from './os/system.ts';
export type { AdoptOptions } from './ownership/adopt.ts';
export type {
  EndReport,
  ExitCause,
  ExitReport,
  KeptProcess,
  Orphan,
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
} from './reports.ts';
export { createSupervisor, getSupervisor } from './singleton.ts';
export { type EmptyValue, normalizeSpawnArgs } from './spawn/arguments.ts';
export {
  type EnvironmentRules,
  ESSENTIAL_NAMES,
  type NamePattern,
  type SanitizedEnv,
  type SanitizeOptions,
  sanitizeEnv,
} from './spawn/environment.ts';
export type { SupervisedProcess, TerminateOptions } from './spawn/handle.ts';
export type { SpawnRequest } from './spawn/request.ts';
export type { StdioOptions } from './spawn/stdio-options.ts';
export type {
  AcquireOptions,
  HookDefaults,
  HookOptions,
  RunOptions,
  SlotLease,
  SpawnHook,
  StopOptions,
  Supervisor,
  SupervisorState,
} from './supervisor.ts';
export { classifyExit, type ExitContext, type ExitVerdict } from './termination/exit.ts';
export type { HostSignal, HostSignalOptions } from './termination/host-signals.ts';
