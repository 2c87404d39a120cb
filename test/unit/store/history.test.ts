// The history is what is known when host and journal are gone: real files, and a clock moved by hand.
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { appendFile, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { runs } from '../../../kit/property.ts';
import type { ExitReport } from '../../../src/reports.ts';
import { parseNote } from '../../../src/store/formats.ts';
import { History } from '../../../src/store/history.ts';
import { HistoryReader, historyFiles, recentNotes } from '../../../src/store/history-reader.ts';
import { giveOrder, removeOrders, takeOrder } from '../../../src/store/operator-requests.ts';

const HOUR_MS = 3_600_000;
const ALL_BYTES = 1024 * 1024;
const OWNER = 'owner-of-this-history';

let stateDir: string;
let warnings: string[];
let os: FakeOs;
let history: History;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'history-'));
  warnings = [];
  os = new FakeOs('linux');
  history = new History({ os, stateDir, warn: (message) => warnings.push(message) });
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const RECORD = {
  id: 'a-1',
  pid: 123,
  kind: 'agent',
  sessionId: 's',
  command: 'claude',
  cwd: '/secret/folder',
};
const REPORT: ExitReport = {
  id: 'a-1',
  pid: 123,
  kind: 'agent',
  sessionId: 's',
  code: null,
  signal: 'SIGTERM',
  cause: 'idle',
  intentional: true,
  forced: false,
  durationMs: 1500,
  pausedMs: 0,
  stderrTail: 'a word of the process',
  leftovers: [],
};
const events = () => recentNotes(stateDir, os, ALL_BYTES).map(({ event, id }) => `${event} ${id}`);

describe('the history', () => {
  it('holds who was started and how it ended, and nothing that may be secret', () => {
    history.started(OWNER, RECORD);
    history.ended(OWNER, RECORD, REPORT);
    history.lost(OWNER, { ...RECORD, id: 'a-2' });
    const subject = { version: 1, owner: OWNER, id: 'a-1', pid: 123, kind: 'agent' };
    const whose = { sessionId: 's', command: 'claude', at: os.clock.now() };
    const end = { cause: 'idle', code: null, signal: 'SIGTERM', forced: false, durationMs: 1500 };
    expect(recentNotes(stateDir, os, ALL_BYTES)).toEqual([
      { ...subject, ...whose, event: 'started' },
      { ...subject, ...whose, event: 'ended', ...end },
      { ...subject, ...whose, event: 'lost', id: 'a-2' },
    ]);
    const [path = ''] = historyFiles(stateDir);
    expect(readFileSync(path, 'utf8')).not.toMatch(/secret|word/);
    expect(warnings).toEqual([]);
  });

  it('is for its owner’s eyes only', async () => {
    history.started(OWNER, RECORD);
    expect((await stat(historyFiles(stateDir)[0] ?? '')).mode & 0o777).toBe(0o600);
  });

  it('has a file for each day', async () => {
    writeFileSync(join(stateDir, 'history-no-day.jsonl'), '');
    history.started(OWNER, RECORD);
    await os.clock.advance(24 * HOUR_MS);
    history.ended(OWNER, RECORD, REPORT);
    expect((await readdir(stateDir)).sort()).toEqual([
      'history-2026-11-23.jsonl',
      'history-2026-11-24.jsonl',
      'history-no-day.jsonl',
    ]);
    expect(events()).toEqual(['started a-1', 'ended a-1']);
  });

  it('goes on over noise, a torn line and a foreign format', async () => {
    history.started(OWNER, RECORD);
    const [path = ''] = historyFiles(stateDir);
    await appendFile(path, 'noise\n{"version":9}\n{"version":1,"at":');
    history.ended(OWNER, RECORD, REPORT);
    await appendFile(path, '\n');
    history.lost(OWNER, RECORD);
    expect(events()).toEqual(['started a-1', 'lost a-1']);
  });

  it('costs one warning where it cannot be written, and no memory', () => {
    const path = join(stateDir, 'history-2026-11-23.jsonl');
    symlinkSync('/dev/null', path);
    for (let n = 0; n < 1000; n++) history.started(OWNER, RECORD);
    expect(warnings).toHaveLength(1);
    rmSync(path);
    history.ended(OWNER, RECORD, REPORT);
    expect(events()).toEqual(['ended a-1']);
  });

  it('shows its newest part without reading the rest', () => {
    for (let n = 0; n < 500; n++) history.started(OWNER, { ...RECORD, id: `a-${n}` });
    const shown = recentNotes(stateDir, os, 2000).map(({ id }) => id);
    expect(shown.length).toBeGreaterThan(5);
    expect(shown.length).toBeLessThan(15);
    expect(shown.at(-1)).toBe('a-499');
  });

  it('is followed from where it was left, in whatever pieces it comes', async () => {
    const path = join(stateDir, 'history-2026-11-23.jsonl');
    const note = (sessionId: string) =>
      JSON.stringify({
        version: 1,
        at: 1,
        event: 'lost',
        owner: 'o',
        id: 'i',
        kind: 'k',
        sessionId,
      });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
        async (sessions, sizes) => {
          const whole = Buffer.from(sessions.map((session) => `${note(session)}\n`).join(''));
          writeFileSync(path, '', { mode: 0o600 });
          const reader = new HistoryReader(path, os);
          const seen: (string | undefined)[] = [];
          for (let at = 0, turn = 0; at < whole.length; turn++) {
            const size = sizes[turn % sizes.length] ?? 1;
            writeFileSync(path, whole.subarray(at, at + size), { flag: 'a' });
            at += size;
            seen.push(...reader.read().map(({ sessionId }) => sessionId));
          }
          expect(seen).toEqual(sessions);
        },
      ),
      runs(50, { costly: 10 }),
    );
  });

  it('is written by a supervisor, once for each process', async () => {
    using world = new FakeSupervision({ stateDir });
    const child = world.spawn('a', { sessionId: 's', kind: 'tool' });
    await child.started;
    await world.until(child.terminate());
    expect(recentNotes(stateDir, world.os, ALL_BYTES)).toMatchObject([
      { event: 'started', id: child.id, kind: 'tool', sessionId: 's', command: 'a' },
      { event: 'ended', id: child.id, cause: 'terminated', forced: false },
    ]);
    await world.until(world.supervisor.stop());
  });

  it('takes nothing for a note that is none', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(parseNote(value)).toBeUndefined();
      }),
      runs(500),
    );
  });
});

describe('an order', () => {
  const process = { owner: OWNER, id: 'a-1' };

  it('is taken once', () => {
    giveOrder(stateDir, process, 'reaped');
    expect(takeOrder(stateDir, process, os)).toBe('reaped');
    expect(takeOrder(stateDir, process, os)).toBeUndefined();
  });

  it('is for one process of one owner, and can be taken back', () => {
    for (const id of ['a-1', 'a-12', 'b-1']) giveOrder(stateDir, { owner: OWNER, id }, 'reaped');
    giveOrder(stateDir, { owner: `${OWNER}2`, id: 'a-1' }, 'reaped');
    removeOrders(stateDir, process);
    expect(takeOrder(stateDir, process, os)).toBeUndefined();
    expect(takeOrder(stateDir, { ...process, id: 'a-12' }, os)).toBe('reaped');
    removeOrders(stateDir, { owner: OWNER });
    expect(takeOrder(stateDir, { ...process, id: 'b-1' }, os)).toBeUndefined();
    expect(takeOrder(stateDir, { owner: `${OWNER}2`, id: 'a-1' }, os)).toBe('reaped');
  });

  it.each(['', 'noise', '{"version":1,"cause":"crashed"}', '{"version":2,"cause":"reaped"}'])(
    'is not %j',
    (text) => {
      writeFileSync(join(stateDir, `order-${OWNER}.a-1.json`), text, { mode: 0o600 });
      expect(takeOrder(stateDir, process, os)).toBeUndefined();
    },
  );

  it('tells the host as what an operator ends its process', async () => {
    using world = new FakeSupervision({ stateDir });
    world.os.reactions = { SIGTERM: 'ignore' };
    const child = world.spawn('a');
    await child.started;
    const { instance = '' } = world.supervisor.internals.snapshot();
    giveOrder(stateDir, { owner: instance, id: child.id }, 'reaped');
    world.os.die(child.pid ?? 0, null, 'SIGKILL');
    expect(await world.until(child.exited)).toMatchObject({ cause: 'reaped', intentional: true });
    await world.until(world.supervisor.stop());
  });

  it('comes too late for a process that is being ended already', async () => {
    using world = new FakeSupervision({ stateDir });
    const child = world.spawn('a');
    await child.started;
    const { instance = '' } = world.supervisor.internals.snapshot();
    giveOrder(stateDir, { owner: instance, id: child.id }, 'reaped');
    await world.until(child.terminate());
    expect(await child.exited).toMatchObject({ cause: 'terminated' });
    expect(takeOrder(stateDir, { owner: instance, id: child.id }, os)).toBeUndefined();
    await world.until(world.supervisor.stop());
  });

  it.skipIf(globalThis.process.getuid?.() !== 0)('of another user is none', () => {
    giveOrder(stateDir, process, 'reaped');
    const stranger = { userId: () => 12345 };
    expect(takeOrder(stateDir, process, stranger)).toBeUndefined();
    chmodSync(stateDir, 0o700);
  });
});
