import type { WaitingRequest } from './report.ts';

/** @internal The bound for which a request waits, in words. */
export function waitText({ cause, name }: WaitingRequest['waitsFor']): string {
  switch (cause) {
    case 'start':
      return 'the start of the supervisor';
    case 'pause':
      return 'the end of the pause';
    case 'key':
      return `the key "${name}"`;
    case 'starting':
      return `others of the kind "${name}" that are starting`;
    case 'slot':
      return 'a slot';
    case 'machine':
      return 'a slot of the machine';
    case 'condition':
      return 'its conversation, or room below the hard cap';
  }
}
