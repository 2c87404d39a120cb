import { describe, expect } from 'vitest';
import { CAN_TYPE, it } from '../support/command-line.ts';
import { SLEEPER } from '../support/containment.ts';

describe.runIf(CAN_TYPE)('top in a terminal', () => {
  it.for(['q', 'C-c', 'Escape'])(
    '%s ends it, and the terminal is as it was',
    async (key, { shell, area }) => {
      const host = await area.readyHost();
      await host.ask({ do: 'spawn', request: { ...SLEEPER, sessionId: 'research' } });
      await shell.open();
      await shell.type('agent-supervisor top --interval 200ms');
      await shell.sees('research');
      expect(await shell.mode()).toBe('1 0');
      await shell.press(key);
      await shell.sees('READY>');
      await shell.isBack();
    },
  );
});
