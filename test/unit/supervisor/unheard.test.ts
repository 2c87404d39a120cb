// Warnings that nobody listens for.
import { channel } from 'node:diagnostics_channel';
import { expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

/** A supervisor that has something to warn of. */
function warned(listen: (supervisor: Supervisor) => void): readonly string[] {
  const os = new FakeOs();
  os.isMainThread = false;
  const supervisor = new Supervisor({ stateDir: '/nowhere' }, os);
  listen(supervisor);
  supervisor.handleSignals();
  return os.processWarnings;
}

it("go to the host's operator", () => {
  expect(warned(() => undefined)).toEqual(['HOST_SIGNAL']);
});

it('do not, where somebody listens, or subscribes to the channel', () => {
  expect(warned((supervisor) => supervisor.on('warning', () => undefined))).toEqual([]);
  const subscriber = () => undefined;
  const warnings = channel('agent-supervisor:warning');
  warnings.subscribe(subscriber);
  expect(warned(() => undefined)).toEqual([]);
  warnings.unsubscribe(subscriber);
});

it('do after the last listener has gone', () => {
  expect(warned((supervisor) => supervisor.on('warning', () => undefined)())).toEqual([
    'HOST_SIGNAL',
  ]);
});
