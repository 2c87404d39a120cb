// What is said to who wrote something wrong: what is wrong, and the way out.
import { expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import type { SpawnRequest } from '../../../src/index.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

it.each([
  [{ cmd: 'ls' }, 'unknown option "cmd". Did you mean "command"? Known here: command, args'],
  [{ command: 'ls', arg: [] }, 'unknown option "arg". Did you mean "args"?'],
  [{ command: 'ls', colour: 1 }, 'unknown option "colour". Known here:'],
  [{}, '"command" is undefined, but must be string. Pass it; it has no default.'],
  [{ command: 5 }, '"command" is 5, but must be string. Correct it; it has no default.'],
  ['ls', '"options" is "ls", but must be object. Correct it; it has no default.'],
  [
    { command: 'ls', kind: 5 },
    '"kind" is 5, but must be string. Correct it, or leave it out for the default.',
  ],
])('spawn(%j)', (request, message) => {
  const supervisor = new Supervisor({ stateDir: '/nowhere' }, new FakeOs());
  expect(() => supervisor.spawn(request as SpawnRequest)).toThrow(`spawn: ${message}`);
});
