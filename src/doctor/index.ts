export { doctor } from '../inspect/doctor.ts';
export type {
  Check,
  CheckStatus,
  DoctorReport,
  EndNote,
  EnvironmentHealth,
  FileGroup,
  GuardianHealth,
  HostHealth,
  IdentityVerdict,
  MachineHostHealth,
  MachineSlotsHealth,
  MachineWait,
  OwnerHealth,
  PoolHealth,
  ProcessHealth,
  Quota,
  ServiceHealth,
  SessionHealth,
  StateDirHealth,
  SupervisorHealth,
  WaitingRequest,
} from '../inspect/report.ts';
export { doctorReportSchema } from '../inspect/schema.ts';
export { type DoctorHandler, doctorHandler } from './handler.ts';
export {
  type FetchHandler,
  type NodeListener,
  type NodeListenerOptions,
  toNodeListener,
} from './node-listener.ts';
export type { DoctorHandlerOptions } from './options.ts';
