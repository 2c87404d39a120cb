// What is said to who wrote something wrong: what is wrong, and the way out.
import { expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { superviseQuery } from '../../../src/claude/supervise-query.ts';
import { checkDaemonOptions } from '../../../src/daemon/schema.ts';
import type { SpawnRequest } from '../../../src/index.ts';
import { checkParameters } from '../../../src/mcp/parameters.ts';
import { defineService } from '../../../src/service/define-service.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

it.each([
  [{ cmd: 'ls' }, 'unknown option "cmd". Did you mean "command"? Known here: command, args'],
  [{ command: 'ls', arg: [] }, 'unknown option "arg". Did you mean "args"?'],
  [{ command: 'ls', colour: 1 }, 'unknown option "colour". Known here:'],
  [{}, '"command" is undefined, but must be string. Pass it; it has no default.'],
  [{ command: 5 }, '"command" is 5, but must be string. Correct it; it has no default.'],
  [
    'ls',
    '"request" is "ls", but must be object. Pass an object, such as { command: "ls", args: ["-l"] }.',
  ],
  [undefined, '"request" is undefined, but must be object. Pass an object, such as { command:'],
  [
    { command: 'ls', kind: 5 },
    '"kind" is 5, but must be string. Correct it, or leave it out for the default.',
  ],
])('spawn(%j)', (request, message) => {
  const supervisor = new Supervisor({ stateDir: '/nowhere' }, new FakeOs());
  expect(() => supervisor.spawn(request as SpawnRequest)).toThrow(`spawn: ${message}`);
});

it.each([
  [{ cmd: 'x' }, 'unknown option "cmd". Known here: cwd, env, signal,'],
  [{ command: 'x' }, 'the Agent SDK names the program (pathToClaudeCodeExecutable). Leave it out.'],
  [{ stdin: 'ignore' }, 'through which it speaks with its agent. Leave it out.'],
  ['x', '"options" is "x", but must be object. Pass an object.'],
])('spawnHook(%j)', (defaults, message) => {
  const supervisor = new Supervisor({ stateDir: '/nowhere' }, new FakeOs());
  expect(() => supervisor.spawnHook(defaults as object)).toThrow(message);
});

it.each([
  [5, '"options" is 5, but must be object. Pass an object.'],
  [{ concurrency: 3 }, 'unknown option "concurrency". Did you mean "pool.concurrency"?'],
  [{ onDuplicate: 'allow' }, 'Did you mean "conversation.onDuplicate"?'],
  [{ statedir: '/x' }, 'Did you mean "stateDir"?'],
  [{ pool: { concurency: 3 } }, 'unknown option "pool.concurency". Did you mean "concurrency"?'],
  [{ nonsense: 3 }, 'unknown option "nonsense". Known here: stateDir,'],
])('getSupervisor(%j)', (options, message) => {
  expect(() => new Supervisor(options as object, new FakeOs())).toThrow(message);
});

const SUPERVISION = { supervisor: new Supervisor({ stateDir: '/nowhere' }, new FakeOs()) };
const SURFACES: Readonly<Record<string, (input: never) => unknown>> = {
  run: (input) => SUPERVISION.supervisor.run(input, () => Promise.reject()),
  acquire: (input) => SUPERVISION.supervisor.acquire(input),
  defineService: (input) => defineService(SUPERVISION.supervisor, input),
  ensureDaemon: (input) => checkDaemonOptions(input),
  superviseQuery: (input) => superviseQuery(() => Promise.reject() as never, input),
  SupervisedStdioTransport: (input) => checkParameters(input),
};
const EXAMPLE = 'Pass an object, such as { command: "ls", args: ["-l"] }.';

it.each([
  ['run', 'ls', '"options" is "ls", but must be object. Correct it, or leave it out'],
  ['acquire', 'ls', '"options" is "ls", but must be object. Correct it, or leave it out'],
  ['defineService', 'ls', `"definition" is "ls", but must be object. ${EXAMPLE}`],
  ['defineService', { name: 'x', cmd: 'ls' }, 'unknown option "cmd". Did you mean "command"?'],
  ['defineService', { name: 'x' }, '"command" is undefined, but must be string. Pass it; it has'],
  ['defineService', { command: 'ls' }, '"name" is undefined, but must be string. Pass it; it has'],
  ['ensureDaemon', 'ls', `"options" is "ls", but must be object. ${EXAMPLE}`],
  ['ensureDaemon', { cmd: 'ls' }, 'unknown option "cmd". Did you mean "command"?'],
  ['ensureDaemon', {}, '"command" is undefined, but must be string. Pass it; it has no default.'],
  ['superviseQuery', 'ls', '"options" is "ls", but must be object. Pass an object.'],
  ['superviseQuery', { command: 'ls' }, 'unknown option "command". Known here: supervisor,'],
  ['SupervisedStdioTransport', 'ls', `"options" is "ls", but must be object. ${EXAMPLE}`],
  ['SupervisedStdioTransport', { cmd: 'ls' }, 'unknown option "cmd". Did you mean "command"?'],
] as const)('%s(%j)', async (subject, input, message) => {
  const call = async () => SURFACES[subject]?.(input as never);
  await expect(call()).rejects.toThrow(`${subject}: ${message}`);
});
