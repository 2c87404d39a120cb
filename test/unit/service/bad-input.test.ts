// What a user may get wrong in a definition: each is one clear error, and nothing is started.
import { afterAll, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import type { ServiceDefinition } from '../../../src/service/index.ts';
import { defineService } from '../../../src/service/index.ts';

const fake = new FakeSupervision();
afterAll(() => fake[Symbol.dispose]());

const GOOD: ServiceDefinition = { name: 'good', command: 'good' };

const define = (more: unknown) => () =>
  defineService(fake.supervisor, { ...GOOD, ...(more as object) } as ServiceDefinition);

describe('a definition', () => {
  it.each([
    [{ name: '' }, 'name', '"name" is "", but must not be empty'],
    [{ name: undefined }, 'name', '"name" is undefined'],
    [{ command: '' }, 'command', '"command" is "", but must not be empty'],
    [{ command: 7 }, 'command', '"command" is 7'],
    [{ args: 'a' }, 'args', '"args" is a value of type string'],
    [{ env: { A: 1 } }, 'env.A', '"env.A" is a value of type number'],
    [{ cwd: '' }, 'cwd', '"cwd" is ""'],
    [{ port: 8000 }, 'port', 'Did you mean "ready.port"? Known here: name, ready, restart'],
    [{ ready: {} }, 'ready', 'must have exactly one of port, url, socket, check, stdout'],
    [{ ready: { port: 1, url: 'http://localhost' } }, 'ready', 'must have exactly one of'],
    [{ ready: { port: 0 } }, 'ready.port', '"ready.port" is 0, but must be at least 1'],
    [{ ready: { port: 65_536 } }, 'ready.port', 'must be at most 65535'],
    [{ ready: { port: '80' } }, 'ready.port', '"ready.port" is "80"'],
    [{ ready: { url: 'localhost:80' } }, 'ready.url', 'must be an http or https address'],
    [{ ready: { url: 'file:///x' } }, 'ready.url', 'must be an http or https address'],
    [{ ready: { socket: '' } }, 'ready.socket', '"ready.socket" is ""'],
    [{ ready: { url: 'http://a', host: 'b' } }, 'ready.host', 'must come with a port'],
    [{ ready: { stdout: 'ready' } }, 'ready.stdout', 'must be a regular expression'],
    [{ ready: { check: true } }, 'ready.check', 'must be a function'],
    [{ ready: { port: 1, timeoutMs: 0 } }, 'ready.timeoutMs', 'must be at least 1'],
    [{ ready: { port: 1, timeoutMs: Number.NaN } }, 'ready.timeoutMs', '"ready.timeoutMs" is NaN'],
    [{ restart: true }, 'restart', '"restart" is true'],
    [{ restart: { maxRestarts: -1 } }, 'restart.maxRestarts', 'must be at least 0'],
    [{ restart: { backoffMs: 9, maxBackoffMs: 8 } }, 'restart.backoffMs', 'at most maxBackoffMs'],
    [{ breaker: { failures: 0 } }, 'breaker.failures', 'must be at least 1'],
    [{ breaker: { openMs: -1 } }, 'breaker.openMs', '"breaker.openMs" is -1'],
    [{ breaker: { opensMs: 1 } }, 'breaker.opensMs', 'Known here: failures, openMs, stableMs'],
    [{ lockFiles: ['lock'] }, 'lockFiles[0]', 'must be an absolute path'],
    [{ limits: { idleMs: -1 } }, 'limits.idleMs', '"limits.idleMs" is -1'],
    [{ stdin: 'none' }, 'stdin', '"stdin" is "none", but must be "pipe" or "ignore" or "inherit"'],
    [
      { ready: { stdout: /x/ }, stdout: 'ignore' },
      'stdout',
      '"stdout" is "ignore", but must be \'pipe\' where "ready.stdout"',
    ],
  ])('%o', (more, field, text) => {
    const error = (() => {
      try {
        define(more)();
      } catch (reason) {
        return reason as Error;
      }
      throw new Error('it was accepted');
    })();
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', data: { field } });
    expect(error.message).toContain('defineService: ');
    expect(error.message).toContain(text);
  });

  it('must be one, of a supervisor', () => {
    for (const none of [undefined, null, 'server'])
      expect(() => defineService(fake.supervisor, none as never)).toThrow(/defineService: /);
    for (const none of [undefined, {}, 'supervisor'])
      expect(() => defineService(none as never, GOOD)).toThrow(/"supervisor" is no supervisor/);
  });

  it('starts nothing, and hides what may be secret', () => {
    expect(define({ args: ['secret', 7] })).toThrow(/"args\[1\]" is a value of type number/);
    expect(fake.os.launches).toEqual([]);
  });
});
