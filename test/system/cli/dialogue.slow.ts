import { describe, expect } from 'vitest';
import { CAN_TYPE, it, sleepers, TREE } from '../../../kit/command-line.ts';
import { SLEEPER, spawned } from '../../../kit/containment.ts';
import { isAlive, readRow } from '../../../kit/process-table.ts';

const SESSION = { ...SLEEPER, sessionId: 'research' };

describe.runIf(CAN_TYPE)('a question in a terminal', () => {
  it.for([
    ['y', ['y', 'Enter'], true],
    ['n', ['n', 'Enter'], false],
    ['Enter', ['Enter'], false],
    ['Ctrl-C', ['C-c'], false],
    ['Ctrl-D', ['C-d'], false],
  ] as const)('%s', async ([, keys, isYes], { shell, area }) => {
    const host = await area.readyHost();
    const { pid } = await spawned(host, SESSION);
    await shell.open();
    await shell.type('agent-supervisor reap research; echo "code $?"');
    await shell.sees('End session "research", with 1 process? [y/N]');
    await shell.press(...keys);
    if (isYes) {
      await shell.sees(`ended sh (pid ${pid}, `);
      await shell.sees(/^code 0$/m);
      expect(readRow(pid)).toBeUndefined();
    } else {
      await shell.sees(/^agent-supervisor: Nothing was ended\.$/m);
      await shell.sees(/^code 1$/m);
      expect(readRow(pid)).toBeDefined();
    }
    await shell.isBack();
  });
});

describe.runIf(CAN_TYPE)('run in a terminal', () => {
  it('Ctrl-C ends the tree, and the shell sees SIGINT', async ({ shell, line }) => {
    await shell.open();
    await shell.type(`agent-supervisor run --grace 200ms -- sh -c '${TREE}'; echo "code $?"`);
    await shell.sees(/^ready$/m);
    const rows = await sleepers(line);
    await shell.press('C-c');
    await shell.sees('READY>');
    await shell.type('echo "code $?"');
    await shell.sees(/^code 130$/m);
    expect(rows.filter(isAlive)).toEqual([]);
    await shell.isBack();
  });

  it('hands on what is typed, and its end', async ({ shell }) => {
    await shell.open();
    await shell.type('agent-supervisor run -- sh -c "echo up; wc -l"; echo "code $?"');
    await shell.sees(/^up$/m);
    await shell.type('one');
    await shell.type('two');
    await shell.press('C-d');
    await shell.sees(/^2$/m);
    await shell.sees(/^code 0$/m);
    await shell.isBack();
  });

  it('goes on in the background while others are typed to, and takes what is typed in front', async ({
    shell,
  }) => {
    await shell.open();
    await shell.type('agent-supervisor run -- sh -c "echo up; wc -l" &');
    await shell.sees(/up$/m);
    await shell.type('echo not-for-it');
    await shell.type('jobs');
    await shell.sees(/\[1\]\+ +Running/);
    await shell.type('fg');
    await shell.sees(/^agent-supervisor run/m);
    await shell.type('one');
    await shell.press('C-d');
    await shell.sees(/^1$/m);
    await shell.isBack();
  });
});
