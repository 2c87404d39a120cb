// On Windows a process can be sent only signals that end it.
import { afterEach, expect, it, vi } from 'vitest';

const { platform } = process;
afterEach(() => {
  Object.defineProperty(process, 'platform', { value: platform });
  vi.restoreAllMocks();
});

it.each([
  ['win32', 'SIGHUP', 'SIGTERM'],
  ['win32', 'SIGINT', 'SIGTERM'],
  ['darwin', 'SIGHUP', 'SIGHUP'],
] as const)('a host on %s that is to die of %s raises %s', async (system, signal, raised) => {
  Object.defineProperty(process, 'platform', { value: system });
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  vi.resetModules();
  const { systemOs } = await import('../../../src/os/system.ts');
  systemOs().raise(signal);
  expect(kill.mock.calls).toEqual([[process.pid, raised]]);
});
