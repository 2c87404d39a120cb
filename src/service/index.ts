export { defineService } from './define-service.ts';
export type {
  ReadyBy,
  ReadyCheck,
  ReadyOptions,
  ServiceBreaker,
  ServiceDefinition,
  ServiceRestart,
} from './definition.ts';
export type { Service } from './service.ts';
