import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endByMarker } from '../../../kit/process-table.ts';
import { runs } from '../../../kit/property.ts';
import { standing } from '../../../kit/state-dir.ts';
import type { SupervisionRecord } from '../../../src/store/formats.ts';
import { Journal } from '../../../src/store/journal.ts';
import { readJournal } from '../../../src/store/journal-reader.ts';

const FULL_DISK = join(import.meta.dirname, '../../fixtures/hosts/full-disk.ts');
const NOBODY = 65534;
/** Marks what the hosts of these tests start. */
const MARKER = 'AGENT_SUPERVISOR_JOURNAL_TEST';
const run = promisify(execFile);

const userId = process.getuid?.();
const POSIX = userId !== undefined;
const IS_ROOT = userId === 0;
const CAN_MOUNT = canMount();
if (!CAN_MOUNT) console.warn('no private mount namespace here: the full-disk test is skipped');

function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', '--map-root-user', 'mount', '-t', 'tmpfs', 'x', '/mnt'], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}

let folder = '';
let stateDir = '';
let warnings: unknown[] = [];
let instances = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-journal-'));
  stateDir = join(folder, 'state');
  warnings = [];
});
afterEach(async () => {
  const leaked = process.platform === 'linux' ? await endByMarker(MARKER, folder) : [];
  rmSync(folder, { recursive: true, force: true });
  expect(leaked, 'alive after the test').toEqual([]);
});

const owner = () => ({
  instance: `instance-${++instances}`,
  pid: 4242,
  startTime: '99',
  machine: 'machine',
  bootId: 'boot',
  pidNamespace: 'pid:[1]',
});

function open(more: { stateDir?: string; userId?: number | undefined } = {}): Journal {
  return new Journal({
    stateDir,
    owner: owner(),
    openedAt: 1795392634000,
    userId,
    warn: (message, error) => warnings.push([message, error]),
    ...more,
  });
}

const record = (id: string, more: Partial<SupervisionRecord> = {}): SupervisionRecord => ({
  id,
  pid: 4243,
  startTime: '100',
  bootId: 'boot',
  pidNamespace: 'pid:[1]',
  group: true,
  kind: 'agent',
  command: 'claude',
  cwd: '/srv',
  startedAt: 1795392634567,
  ...more,
});

const lines = ({ path }: Journal) => readFileSync(path, 'utf8').split('\n');
const idsIn = async (path: string) => [...(await readJournal(path)).records.keys()];
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

describe('Journal', () => {
  it('is a file of its own with a header, and one line a change', async () => {
    const journal = open();
    journal.add(record('a', { sessionId: 's "1"\n' }));
    journal.add(record('b'));
    journal.remove('a');
    expect(basename(journal.path)).toMatch(/^host-instance-\d+\.jsonl$/);
    const [header, ...changes] = lines(journal);
    expect(JSON.parse(header ?? '')).toEqual({
      version: 1,
      owner: { ...owner(), instance: expect.stringMatching(/^instance-/) },
      openedAt: 1795392634000,
    });
    expect(changes.map((change) => change.slice(0, 17))).toEqual([
      '{"add":{"id":"a",',
      '{"add":{"id":"b",',
      '{"remove":"a"}',
      '',
    ]);
    expect(await readJournal(journal.path)).toEqual({
      header: JSON.parse(header ?? ''),
      records: new Map([['b', record('b')]]),
      warnings: [],
    });
    expect(warnings).toEqual([]);
  });

  it('replaces a record that is added again, and writes nothing for one that it does not know', async () => {
    const journal = open();
    journal.add(record('a', { startTime: undefined }));
    journal.add(record('a'));
    const before = lines(journal).length;
    journal.remove('unknown');
    expect(lines(journal)).toHaveLength(before);
    expect((await readJournal(journal.path)).records.get('a')).toEqual(record('a'));
  });

  it('removes its file when it is closed, unless it still names a process', async () => {
    const [empty, full] = [open(), open()];
    full.add(record('a'));
    empty.close();
    full.close();
    expect(standing(stateDir)).toEqual([basename(full.path)]);
    expect(await idsIn(full.path)).toEqual(['a']);
    expect(warnings).toEqual([]);
  });

  it('closes without a word where somebody else has removed the file', () => {
    const journal = open();
    rmSync(stateDir, { recursive: true });
    journal.close();
    expect(warnings).toEqual([]);
  });

  it('shares its folder with others', async () => {
    const journals = [open(), open(), open()];
    for (const [index, journal] of journals.entries()) journal.add(record(`r${index}`));
    expect(await Promise.all(journals.map(({ path }) => idsIn(path)))).toEqual([
      ['r0'],
      ['r1'],
      ['r2'],
    ]);
    journals[1]?.remove('r1');
    journals[1]?.close();
    expect(standing(stateDir)).toHaveLength(2);
  });

  describe('compaction', () => {
    const inode = ({ path }: Journal) => statSync(path).ino;

    it('costs a rewrite in thousands of changes, and keeps the file short', async () => {
      const journal = open();
      for (let index = 0; index < 10; index++) journal.add(record(`live${index}`));
      let rewrites = 0;
      let longest = 0;
      let now = inode(journal);
      for (let index = 0; index < 5000; index++) {
        journal.add(record(`r${index}`));
        journal.remove(`r${index}`);
        if (inode(journal) !== now) rewrites++;
        now = inode(journal);
        if (index % 50 === 0) longest = Math.max(longest, lines(journal).length);
      }
      expect(rewrites).toBeGreaterThan(0);
      expect(rewrites).toBeLessThanOrEqual(10);
      expect(longest).toBeLessThan(4200);
      expect(await idsIn(journal.path)).toHaveLength(10);
      expect(mode(journal.path)).toBe(POSIX ? '600' : mode(journal.path));
      expect(standing(stateDir)).toEqual([basename(journal.path)]);
    });

    it('happens the more seldom the more is alive', async () => {
      const journal = open();
      for (let index = 0; index < 3000; index++) journal.add(record(`live${index}`));
      const before = inode(journal);
      for (let index = 0; index < 2900; index++) {
        journal.add(record(`r${index}`));
        journal.remove(`r${index}`);
      }
      expect(inode(journal)).toBe(before);
      expect((await readJournal(journal.path)).records.size).toBe(3000);
    });

    it('loses nothing, whatever comes before and after it', async () => {
      const id = fc.constantFrom(...Array.from({ length: 30 }, (_, index) => `r${index}`));
      const change = fc.record({ add: fc.boolean(), id, pid: fc.integer({ min: 2, max: 9999 }) });
      // As many changes as it takes for some rewrites.
      const changes = fc.array(change, { minLength: 1, maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(changes, fc.integer({ min: 1, max: 60 }), async (list, rounds) => {
          const journal = open();
          const model = new Map<string, SupervisionRecord>();
          for (let round = 0; round < rounds; round++) {
            for (const { add, id, pid } of list) {
              if (add) {
                model.set(id, record(id, { pid }));
                journal.add(record(id, { pid }));
              } else {
                model.delete(id);
                journal.remove(id);
              }
            }
          }
          expect(new Map(journal.records)).toEqual(model);
          expect(await readJournal(journal.path)).toMatchObject({ records: model, warnings: [] });
        }),
        runs(30, { costly: 100 }),
      );
    });
  });
});

describe('the state directory', () => {
  const refusal = (pattern: RegExp) =>
    expect.objectContaining({
      code: 'STATE_DIR_UNSAFE',
      message: expect.stringMatching(pattern),
      data: { field: 'stateDir', value: expect.any(String) },
    });
  /** What every such message ends with. */
  const ADVICE =
    /Pass a folder of your own \(mode 0700\) as stateDir, or set AGENT_SUPERVISOR_STATE_DIR\.$/;

  it.runIf(POSIX)('is made for its user alone, whatever the umask', () => {
    const umask = process.umask(0);
    try {
      stateDir = join(folder, 'deep', 'er', 'state');
      const journal = open();
      for (const path of ['deep', 'deep/er', 'deep/er/state']) {
        expect(mode(join(folder, path))).toBe('700');
      }
      expect(mode(journal.path)).toBe('600');
    } finally {
      process.umask(umask);
    }
  });

  it.runIf(POSIX)('may be readable for others, and may be behind a link', () => {
    mkdirSync(join(folder, 'real'), { mode: 0o755 });
    symlinkSync(join(folder, 'real'), stateDir);
    const journal = open();
    expect(mode(journal.path)).toBe('600');
    expect(standing(join(folder, 'real'))).toHaveLength(1);
  });

  it('that is a file is refused', () => {
    writeFileSync(stateDir, 'mine');
    expect(() => open()).toThrow(refusal(/EEXIST|file already exists/));
    expect(() => open()).toThrow(refusal(ADVICE));
    expect(readFileSync(stateDir, 'utf8')).toBe('mine');
  });

  it('below a file is refused', () => {
    writeFileSync(stateDir, 'mine');
    stateDir = join(stateDir, 'below');
    expect(() => open()).toThrow(refusal(/ENOTDIR|ENOENT|not a directory/));
  });

  it.runIf(POSIX).each([0o777, 0o1777, 0o720, 0o702])('of mode %o is refused', (bad) => {
    mkdirSync(stateDir);
    chmodSync(stateDir, bad);
    expect(() => open()).toThrow(refusal(/others can write it \(mode 7[0-7]{2}\)/));
    expect(() => open()).toThrow(refusal(ADVICE));
    expect(standing(stateDir)).toEqual([]);
  });

  it.runIf(IS_ROOT)('of another user is refused', () => {
    mkdirSync(stateDir, { mode: 0o700 });
    chownSync(stateDir, NOBODY, NOBODY);
    expect(() => open()).toThrow(refusal(/belongs to uid 65534, not to uid 0/));
    expect(standing(stateDir)).toEqual([]);
  });

  it.runIf(POSIX)('of another user is refused: the same told by the user id', () => {
    mkdirSync(stateDir, { mode: 0o700 });
    const other = (userId ?? 0) + 1;
    expect(() => open({ userId: other })).toThrow(refusal(/belongs to uid \d+, not to uid \d+/));
  });

  it.runIf(POSIX && !IS_ROOT)('without the right to write is refused', () => {
    mkdirSync(stateDir, { mode: 0o500 });
    expect(() => open()).toThrow(refusal(/EACCES/));
  });

  it.runIf(CAN_MOUNT)('on a read-only disk is refused', async () => {
    const host = `
      import { createSupervisor } from ${JSON.stringify(join(import.meta.dirname, '../../../src/index.ts'))};
      const supervisor = createSupervisor({ stateDir: ${JSON.stringify(stateDir)} });
      const { error } = await supervisor.spawn({ command: '/bin/true' }).exited;
      const started = await supervisor.start().catch(({ code }) => code);
      console.log(JSON.stringify([error.code, error.message, started]));`;
    const script = `mount -t tmpfs -o ro tmpfs "$0" && exec "$@"`;
    const node = [process.execPath, '--input-type=module', '-e', host];
    const unshare = ['--mount', '--map-root-user', 'sh', '-c', script, folder, ...node];
    const { stdout } = await run('unshare', unshare, { env: { ...process.env, [MARKER]: folder } });
    expect(JSON.parse(stdout)).toEqual([
      'STATE_DIR_UNSAFE',
      expect.stringMatching(/EROFS: read-only file system/),
      'STATE_DIR_UNSAFE',
    ]);
  });

  it.runIf(CAN_MOUNT)(
    'on a disk that fills up costs one warning, goes on in memory, and recovers',
    async () => {
      const script = `mount -t tmpfs -o size=64k,nr_inodes=64 tmpfs "$0" && exec "$@"`;
      const host = [process.execPath, FULL_DISK, folder];
      const unshare = ['--mount', '--map-root-user', 'sh', '-c', script, folder, ...host];
      const { stdout } = await run('unshare', unshare, {
        env: { ...process.env, [MARKER]: folder },
      });
      expect(JSON.parse(stdout)).toEqual({
        before: 'completed',
        whileFull: {
          causes: ['completed'],
          warnings: [
            expect.stringMatching(/^HISTORY .* what happens meanwhile is lost to it$/),
            expect.stringMatching(/^REGISTRY ENOSPC the registry goes on in memory/),
          ],
          files: 1,
        },
        lateHost: {
          refusals: Array(3).fill(['not-started', 'STATE_DIR_UNSAFE', true]),
          descriptorsLost: 0,
          filesLeft: [],
        },
        afterwards: { header: true, ids: [true], noise: [], mode: true },
        again: 4,
        survivors: [],
        left: [],
      });
    },
  );
});
