import { rmSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { CAN_TYPE, it } from '../../../kit/command-line.ts';
import { SLEEPER, spawned } from '../../../kit/containment.ts';
import { eventually, isAlive } from '../../../kit/process-table.ts';

const SESSION = { ...SLEEPER, sessionId: 'research' };

describe.runIf(CAN_TYPE)('top in a terminal', () => {
  it('is redrawn, sorted and ended by q, and leaves the terminal as it was', async ({
    shell,
    area,
  }) => {
    const host = await area.readyHost();
    await spawned(host, SESSION);
    await spawned(host, { ...SESSION, sessionId: 'a-session-with-a-name-that-is-quite-long' });
    await shell.open();
    await shell.type('agent-supervisor top --interval 200ms');
    await shell.sees(/^1 host, 2 processes, .* by cpu/);
    expect(await shell.mode()).toBe('1 0');
    await shell.press('m');
    await shell.sees('by memory');
    await shell.press('a');
    await shell.sees('by age');
    // What is typed is not shown, and what is no key of its does nothing.
    await shell.press('x', 'Up', 'Enter');

    await shell.resize(72, 8);
    const narrow = await shell.sees(/a-sess[\w-]*…/);
    for (const row of narrow.split('\n')) expect(row.length).toBeLessThanOrEqual(72);
    expect(narrow).toMatch(/MEMORY +COMMAND$/m);
    await shell.resize(150, 4);
    await shell.sees(/a-session-with-a-name-that-is-quite-long|research/);
    await shell.press('q');
    await shell.sees('READY>');
    await shell.isBack();
  });

  it.for(['C-c', 'Escape'])('%s ends it, too', async (key, { shell }) => {
    await shell.open();
    await shell.type('agent-supervisor top');
    await shell.sees('0 hosts');
    await shell.press(key);
    await shell.isBack();
  });

  it('goes on when the state directory is removed, and tells of the next one', async ({
    shell,
    area,
  }) => {
    await shell.open();
    await shell.type('agent-supervisor top --interval 100ms');
    await shell.sees('0 hosts');
    rmSync(area.stateDir, { recursive: true });
    const host = await area.readyHost();
    await spawned(host, SESSION);
    await shell.sees('research');
    await shell.press('q');
    await shell.isBack();
  });

  it('ends with its terminal', async ({ shell, area }) => {
    await shell.open();
    await shell.type('agent-supervisor top');
    await shell.sees('0 hosts');
    const [top] = area.tree().filter(({ args }) => args.includes('top'));
    await shell.close();
    await eventually(() => top && !isAlive(top));
  });

  it('refuses a terminal on which nothing can be written over', async ({ shell }) => {
    await shell.open({ term: 'dumb' });
    await shell.type('agent-supervisor top');
    await shell.sees('agent-supervisor: top needs a terminal');
    await shell.type('agent-supervisor doctor');
    await shell.sees('state-dir');
    expect(await shell.screen('-e')).not.toContain('\x1b[');
  });
});

describe.runIf(CAN_TYPE)('what others print in a terminal', () => {
  it('ps fits it, with colours', async ({ shell, area }) => {
    const host = await area.readyHost();
    await spawned(host, { ...SESSION, sessionId: 's'.repeat(300), kind: 'evil\x1b[2J\nkind' });
    await shell.open({ columns: 70 });
    await shell.type('clear; agent-supervisor ps');
    const screen = await shell.sees(/sss…/);
    expect(screen).toMatch(/^PROCESS +PID +KIND +SESSION +AGE +CPU +MEMORY +COMMAND$/m);
    expect(screen).toMatch(/^host \w{8} +\d+ +alive$/m);
    expect(screen).toMatch(/evil\?/);
    expect(await shell.screen('-e')).toContain('\x1b[');
    await shell.type('clear; NO_COLOR=1 agent-supervisor ps');
    await shell.sees(/sss…/);
    expect(await shell.screen('-e')).not.toContain('\x1b[');
    await shell.isBack();
  });

  it('Ctrl-C ends events and leaves the shell', async ({ shell, area }) => {
    const host = await area.readyHost();
    await spawned(host, SESSION);
    await shell.open();
    await shell.type('agent-supervisor events; echo "code $?"');
    await shell.sees(/started .* session research/);
    await shell.press('C-c');
    await shell.type('');
    await shell.isBack();
  });
});
