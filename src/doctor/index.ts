export { doctor } from './doctor.ts';
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
  OwnerHealth,
  PoolHealth,
  ProcessHealth,
  Quota,
  ServiceHealth,
  SessionHealth,
  StateDirHealth,
  SupervisorHealth,
  WaitingRequest,
} from './report.ts';
export { doctorReportSchema } from './schema.ts';
