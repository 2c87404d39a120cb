// Warnings that nobody listens for.
import { channel } from 'node:diagnostics_channel';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

it('do not, of several processes in one session, which are normal', async () => {
  const os = new FakeOs();
  os.isMainThread = false;
  using folder = temporaryFolder();
  const supervisor = new Supervisor({ stateDir: folder.path, guardian: false }, os);
  await os.clock.until(supervisor.start());
  for (const command of ['one', 'two']) supervisor.spawn({ command, sessionId: 's' });
  await os.clock.settle();
  expect(supervisor.session('s')).toMatchObject({ live: 2 });
  supervisor.handleSignals();
  expect(os.processWarnings).toEqual(['HOST_SIGNAL']);
});

function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'agent-supervisor-unheard-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}
