import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { it } from '../../../kit/command-line.ts';
import { CAN_CONTAIN, spawned } from '../../../kit/containment.ts';
import { forgeJournal, recordOf } from '../../../kit/forged-journal.ts';
import { eventually, isAlive, readRow } from '../../../kit/process-table.ts';

const QUICK = ['--grace', '200ms'];

describe.runIf(CAN_CONTAIN)('what cannot be proven is left alone', () => {
  it.for([
    ['a stranger with a recycled pid', { startTime: '1' }, {}, 2, 'No host and no live process'],
    [
      'one without a start time',
      { startTime: undefined },
      {},
      1,
      'is left alone: it cannot be told',
    ],
    [
      'one of another machine',
      { bootId: 'x' },
      { machine: 'another', bootId: 'x' },
      1,
      'is left alone: it is of another machine',
    ],
    [
      'one of another container',
      {},
      { pidNamespace: 'pid:[1]' },
      1,
      'is left alone: it is of another',
    ],
    ['one of an earlier boot', { bootId: 'x' }, { bootId: 'x' }, 2, 'No host and no live process'],
    ['one of a host that cannot be told', {}, { startTime: undefined }, 1, 'is left alone'],
  ] as const)('%s', async ([, record, owner, code, message], { area, line }) => {
    const innocent = area.canary();
    const records = [
      {
        ...recordOf(innocent),
        sessionId: 's',
        ...record,
        ...owner,
        startTime: 'startTime' in record ? record.startTime : innocent.startTime,
      },
    ];
    forgeJournal(area.stateDir, { owner, records });
    const stop = await line.call(['stop', `r${innocent.pid}`]);
    expect(stop.stderr).toMatch(/^agent-supervisor: [^\n]*\n$/);
    expect(stop.stderr).toContain(message);
    expect(stop.code).toBe(code);
    expect((await line.call(['reap', 's'])).code).toBe(code);
    expect(await line.call(['ps'])).toMatchObject({ code: 0, stderr: '' });
    expect(isAlive(innocent)).toBe(true);
  });

  it('a name that may be several', async ({ area, line }) => {
    const canaries = [area.canary(), area.canary()];
    const records = canaries.map((row, index) => ({
      ...recordOf(row, `same-${index}`),
      kind: 'x',
    }));
    forgeJournal(area.stateDir, { records });
    const { code, stderr } = await line.call(['stop', 'same']);
    expect(stderr).toBe(
      'agent-supervisor: "same" may be any of 2: same-0, same-1. Write more of it.\n',
    );
    expect(code).toBe(2);
    // An exact name is no beginning.
    forgeJournal(area.stateDir, {
      records: records.map((one, index) => (index === 0 ? { ...one, id: 'same' } : one)),
    });
    expect((await line.call(['stop', 'same', ...QUICK])).stdout).toMatch(/^ended sleep/);
    expect(canaries.map(isAlive)).toEqual([false, true]);
  });

  it('never what the command itself runs in', async ({ area, line }) => {
    writeFileSync(join(area.folder, 'said'), '');
    const host = await area.readyHost();
    const script = '"$NODE" "$MAIN" stop $$; "$NODE" "$MAIN" reap own; echo over';
    const { id, pid } = await spawned(host, {
      command: 'bash',
      args: ['-c', `echo ready; (${script}) >said 2>&1; exec sleep 300`],
      env: line.env,
      cwd: area.folder,
      kind: 'tool',
      sessionId: 'own',
    });
    const said = await eventually(
      () => {
        const text = readFileSync(join(area.folder, 'said'), 'utf8');
        return text.includes('over') && text;
      },
      { timeoutMs: 20_000, what: 'it has said how that went' },
    );
    expect(said).toContain(`bash (pid ${pid}, ${id}) is left alone: this command runs in it.`);
    expect(readRow(pid)).toBeDefined();
    // Whoever is elsewhere can.
    expect(await line.call(['reap', 'own', ...QUICK])).toMatchObject({ code: 0 });
    expect(readRow(pid)).toBeUndefined();
  });
});
