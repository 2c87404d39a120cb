import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { SupervisedStdioTransport } from '../../../src/mcp/index.ts';
import { checkParameters } from '../../../src/mcp/parameters.ts';

const make = (parameters: object | undefined) => () =>
  new SupervisedStdioTransport(parameters as { command: string });

describe('the parameters', () => {
  it('have these defaults', () => {
    expect(checkParameters({ command: 'server' })).toEqual({
      command: 'server',
      kind: 'mcp-server',
      stderr: 'inherit',
      maxBufferSize: 10_485_760,
    });
  });

  const ensure = () => Promise.reject(new Error('no'));
  it.each([
    [undefined, 'SupervisedStdioTransport: "options" is undefined, but must be object'],
    [{}, '"command" is undefined, but must be string'],
    [{ command: '' }, '"command" is "", but must not be empty'],
    [{ command: 'a', arguments: [] }, 'unknown option "arguments". Known here: command, args, cwd'],
    [{ command: 'a', slot: true }, 'unknown option "slot"'],
    [{ command: 'a', stderr: 'piped' }, '"stderr" is "piped", but must be "inherit", "pipe"'],
    [{ command: 'a', stderr: new Readable() }, '"stderr" is a value of type object, but must be'],
    [{ command: 'a', stderr: -1 }, '"stderr" is -1, but must be'],
    [{ command: 'a', maxBufferSize: 0 }, '"maxBufferSize" is 0, but must be at least 1'],
    [{ command: 'a', kind: '' }, '"kind" is "", but must not be empty'],
    [{ command: 'a', supervisor: {} }, '"supervisor" is a value of type object, but must be a'],
    [{ command: 'a', limits: { idle: 1 } }, 'unknown option "limits.idle"'],
    [{ command: 'a', leftovers: 'drop' }, '"leftovers" is "drop", but must be'],
    [{ command: 'a', sessionId: '' }, '"sessionId" is "", but must not be empty'],
    [{ service: {} }, '"service" is a value of type object, but must be a service'],
    [{ service: null }, '"service" is null, but must be a service'],
    [{ service: { ensure }, command: 'a' }, 'unknown option "command". Known here: service, max'],
  ])('%j: %s', (parameters, message) => {
    expect(make(parameters)).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining(message),
      }),
    );
  });

  it.each([
    [{ command: 'a', args: ['--key', 5, 'secret'] }, '"args[1]" is a value of type number'],
    [{ command: 'a', args: '--key=secret' }, '"args" is a value of type string'],
    [{ command: 'a', env: { KEY: ['secret'] } }, '"env.KEY" is a value of type array'],
  ])('%#: no argument and no value of a variable is ever shown', (parameters, message) => {
    expect(make(parameters)).toThrow(message);
    expect(make(parameters)).not.toThrow('secret');
  });

  it('accept the parameters of the SDK', () => {
    const theirs = { command: 'a', args: ['b'], env: { C: 'd' }, stderr: 2, cwd: '/' } as const;
    for (const stderr of ['inherit', 'pipe', 'overlapped', 'ignore', 2, process.stderr, undefined])
      expect(make({ ...theirs, stderr })).not.toThrow();
  });

  it('do not appear in a log of the transport', async () => {
    const { inspect } = await import('node:util');
    const transport = new SupervisedStdioTransport({ command: 'a', env: { KEY: 'secret' } });
    expect(inspect(transport, { depth: 9, showHidden: true })).not.toContain('secret');
    expect(JSON.stringify(transport)).not.toContain('secret');
  });

  it('give the transport no session id: a client that finds one does not initialize', () => {
    const transport = new SupervisedStdioTransport({ command: 'a', sessionId: 'mine' });
    expect('sessionId' in transport).toBe(false);
  });
});
