import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Journal } from '../../src/store/journal.ts';
import { temporaryFolder } from '../children.ts';
import { interleave, median, microseconds, type Row, times } from '../row.ts';

const SIZES = [10, 100, 1_000, 10_000] as const;
const ROUNDS = 7;
/** Enough changes to rewrite the largest journal once: compaction is part of the price. */
const CHANGES = 16_000;
const PEER_MS = 100;

const OWNER = {
  instance: 'bench-owner-0123',
  pid: process.pid,
  startTime: '123456',
  machine: 'machine',
  bootId: 'd4f0a6de-0c0e-4b57-9d3a-0b8a3f1c2e55',
  pidNamespace: 'pid:[4026531836]',
};

function recordOf(id: number) {
  return {
    id: `0badcafe-${id}`,
    pid: 2 + (id % 30_000),
    startTime: String(1_000_000 + id),
    bootId: OWNER.bootId,
    pidNamespace: OWNER.pidNamespace,
    group: true,
    kind: 'agent',
    sessionId: `session-${id}`,
    command: 'claude',
    cwd: '/home/user/projects/a-project',
    startedAt: 1_700_000_000_000 + id,
  };
}

/** One addition and one removal, in ms, while `size` other records live. */
function journalOf(size: number, stateDir: string): () => number {
  const warn = (message: string, error: unknown): never => {
    throw new Error(message, { cause: error });
  };
  const owner = { ...OWNER, instance: `${OWNER.instance}-${size}` };
  const journal = new Journal({ stateDir, owner, openedAt: 0, userId: process.getuid?.(), warn });
  for (let id = 0; id < size; id++) journal.add(recordOf(id));
  let nextId = size;
  return () => {
    const beganMs = performance.now();
    for (let change = 0; change < CHANGES; change++) {
      const record = recordOf(nextId++);
      journal.add(record);
      journal.remove(record.id);
    }
    return (performance.now() - beganMs) / CHANGES;
  };
}

/** The same for a registry that is one JSON file, rewritten on each change: no lock, no second file. */
function jsonFileOf(size: number, stateDir: string): () => number {
  const path = join(stateDir, `registry-${size}.json`);
  const records = new Map<string, ReturnType<typeof recordOf>>();
  for (let id = 0; id < size; id++) records.set(recordOf(id).id, recordOf(id));
  const save = (): void => writeFileSync(path, JSON.stringify([...records.values()]));
  let nextId = size;
  return () => {
    const beganMs = performance.now();
    let changes = 0;
    while (changes++ === 0 || performance.now() - beganMs < PEER_MS) {
      const record = recordOf(nextId++);
      records.set(record.id, record);
      save();
      records.delete(record.id);
      save();
    }
    return (performance.now() - beganMs) / (changes - 1);
  };
}

/** What one process's coming and going costs the registry, whatever else it holds. */
export const row: Row = {
  name: 'journal, add + remove',
  target: '≤ 25 µs, flat ≤ 1.3 ×; ≥ 25 × faster at 100, ≥ 200 × at 1,000',
  async measure() {
    using folder = temporaryFolder();
    const contenders: Record<string, () => number> = {};
    for (const size of SIZES) {
      contenders[`journal ${size}`] = journalOf(size, folder.path);
      contenders[`file ${size}`] = jsonFileOf(size, folder.path);
    }
    const samples = await interleave(ROUNDS, contenders, { warmUp: 1 });
    const of = (who: string, size: number): number => median(samples[`${who} ${size}`] ?? []);

    const ours = SIZES.map((size) => of('journal', size));
    const flat = Math.max(...ours) / Math.min(...ours);
    const [at100, at1000] = [100, 1_000].map((size) => of('file', size) / of('journal', size));
    const figures = SIZES.map((size) => ({
      who: `${size.toLocaleString('en')} live`,
      value: `${microseconds(of('journal', size))}, JSON file ${microseconds(of('file', size))}`,
    }));
    return {
      figures,
      ratio: `flat ${times(flat)}; ${times(at100 ?? 0)} at 100, ${times(at1000 ?? 0)} at 1,000`,
      ok: Math.max(...ours) <= 0.025 && flat <= 1.3 && (at100 ?? 0) >= 25 && (at1000 ?? 0) >= 200,
    };
  },
};
