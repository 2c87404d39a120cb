export type { Ready, ReadyContext } from '../ready/ready.ts';
export { defineService } from './define-service.ts';
export type {
  ReadyOptions,
  ServiceBreaker,
  ServiceDefinition,
  ServiceRestart,
} from './definition.ts';
export type { Service } from './service.ts';
