import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../kit/property.ts';
import type { ProcessEntry, ProcessTable } from '../../../src/os/os.ts';
import { marksInCookie, parseCookie } from '../../../src/tree/cookie.ts';
import { markOfTag } from '../../../src/tree/rlimit-tag.ts';
import { lineage, type TreeRoot, treeOf, wholeGroups } from '../../../src/tree/tree.ts';

const FUZZ = runs(3000);

const HOST = 50;
const ROOT = 100;
const COOKIE = 'o1.r1';
/** Tags of the first generation, and of one below a kept process. */
const TAG = '9111111111111000001';
const LATER_TAG = '8911111111111000001';

type Row = Partial<ProcessEntry> & Pick<ProcessEntry, 'pid' | 'ppid'>;

/**
 * A table with pid 1, a login shell (40), the host (50) in its session, and the given processes.
 */
function tableOf(...rows: readonly Row[]): ProcessTable {
  const standing: Row[] = [
    { pid: 1, ppid: 0 },
    { pid: 40, ppid: 1 },
    { pid: HOST, ppid: 40, pgid: HOST, sid: 40 },
  ];
  return new Map(
    [...standing, ...rows].map((row) => [
      row.pid,
      {
        pgid: row.pid,
        sid: row.pgid ?? row.pid,
        alive: true,
        startTime: `s${row.pid}`,
        command: `p${row.pid}`,
        cookie: undefined,
        ...row,
      },
    ]),
  );
}

const root: TreeRoot = {
  pid: ROOT,
  startTime: `s${ROOT}`,
  leadsGroup: true,
  held: true,
  cookie: COOKIE,
};
/** The process has exited and its handle is gone: its pid proves nothing any more. */
const gone: TreeRoot = { ...root, held: false };
/** The same, but its id cannot have been reassigned since. */
const ungiven: TreeRoot = { ...gone, reaped: true, numbers: new Set([ROOT]) };
const tagged: TreeRoot = { ...gone, tag: markOfTag(TAG) };
const adopted: TreeRoot = { ...root, leadsGroup: false, held: false };

interface Looking {
  readonly from?: TreeRoot;
  readonly known?: Readonly<Record<number, string>>;
}

function find(table: ProcessTable, { from = root, known = {} }: Looking = {}): number[] {
  const proven = new Map(
    Object.entries(known).map(([pid, startTime]) => [Number(pid), { startTime }]),
  );
  return treeOf(table, from, proven, HOST)
    .map(({ pid }) => pid)
    .sort((a, b) => a - b);
}

const rootRow: Row = { pid: ROOT, ppid: HOST, cookie: COOKIE };

describe('treeOf', () => {
  const CASES: [what: string, rows: Row[], members: number[], looking?: Looking][] = [
    ['the root alone', [rootRow], [ROOT]],
    ['nothing in an empty table', [], []],
    [
      'children and their children',
      [rootRow, { pid: 101, ppid: ROOT, pgid: ROOT }, { pid: 102, ppid: 101, pgid: ROOT }],
      [ROOT, 101, 102],
    ],
    [
      'an orphan of its group (`cmd &`)',
      [rootRow, { pid: 101, ppid: 1, pgid: ROOT, sid: ROOT }],
      [ROOT, 101],
    ],
    [
      'an orphan of its session in a group of its own (job control)',
      [rootRow, { pid: 101, ppid: 1, pgid: 101, sid: ROOT }],
      [ROOT, 101],
    ],
    [
      'a child with a session of its own (Bash tool)',
      [rootRow, { pid: 101, ppid: ROOT, pgid: 101, sid: 101 }],
      [ROOT, 101],
    ],
    [
      'an orphan with a session of its own, by its cookie (`setsid cmd &`)',
      [rootRow, { pid: 101, ppid: 1, pgid: 101, sid: 101, cookie: COOKIE }],
      [ROOT, 101],
    ],
    [
      'a double fork: the session of a process with the cookie, its leader dead',
      [
        rootRow,
        { pid: 102, ppid: 1, pgid: 101, sid: 101, cookie: COOKIE },
        { pid: 103, ppid: 1, pgid: 101, sid: 101 },
      ],
      [ROOT, 102, 103],
    ],
    [
      'a child under `env -i`, and its descendants',
      [
        rootRow,
        { pid: 101, ppid: ROOT, pgid: 101, sid: 101 },
        { pid: 102, ppid: 101, pgid: 102, sid: 102 },
      ],
      [ROOT, 101, 102],
    ],
    [
      'the processes of a supervisor nested in the tree',
      [rootRow, { pid: 101, ppid: 1, cookie: `${COOKIE}/o2.r9` }],
      [ROOT, 101],
    ],
    [
      'the rest of the tree when the root is dead',
      [{ pid: 101, ppid: 1, cookie: COOKIE }],
      [101],
      { from: gone },
    ],
    [
      'the child of a zombie, but not the zombie',
      [
        { ...rootRow, alive: false },
        { pid: 101, ppid: ROOT, pgid: 101, sid: 101 },
      ],
      [101],
    ],
    [
      'members that an earlier snapshot has proven',
      [{ pid: 101, ppid: 1, pgid: 90, sid: 90 }],
      [101],
      { from: gone, known: { 101: 's101' } },
    ],
    [
      'the children of members that an earlier snapshot has proven',
      [
        { pid: 101, ppid: 1, pgid: 90, sid: 90 },
        { pid: 102, ppid: 101, pgid: 102, sid: 102 },
      ],
      [101, 102],
      { from: gone, known: { 101: 's101' } },
    ],

    [
      'the orphans of a dead root, whose pid Windows still names as their parent',
      [
        { pid: 101, ppid: ROOT, pgid: 0, sid: 0 },
        { pid: 102, ppid: 101, pgid: 0, sid: 0 },
      ],
      [101, 102],
    ],
    [
      'no orphan of an earlier process with that pid',
      [{ pid: 101, ppid: ROOT, pgid: 0, sid: 0, startTime: 's099' }],
      [],
    ],
    [
      'no orphan by the pid of its parent once the handle is gone',
      [{ pid: 101, ppid: ROOT, pgid: 0, sid: 0 }],
      [],
      { from: gone },
    ],
    ['no unrelated process', [rootRow, { pid: 101, ppid: 1 }, { pid: 102, ppid: HOST }], [ROOT]],
    [
      'a process by its tag without its environment, session and parent, and its descendants',
      [
        { pid: 101, ppid: 1, pgid: 101, sid: 101, tags: [TAG] },
        { pid: 102, ppid: 101, pgid: 102, sid: 102 },
      ],
      [101, 102],
      { from: tagged },
    ],
    [
      'no process with the tag that is older than the root',
      [{ pid: 101, ppid: 1, startTime: 's099', tags: [TAG] }],
      [],
      { from: tagged },
    ],
    [
      'no process with the tag of another record or owner, or with a later kept one',
      [
        { pid: 101, ppid: 1, tags: ['9111111111111000002'] },
        { pid: 102, ppid: 1, tags: ['9122222222222000001'] },
        { pid: 103, ppid: 1, tags: [TAG, '9022222222222000001'] },
      ],
      [],
      { from: tagged },
    ],
    [
      'no process with the cookie of another record',
      [rootRow, { pid: 101, ppid: 1, cookie: 'o1.r2' }],
      [ROOT],
    ],
    [
      'no process with the cookie of another owner',
      [rootRow, { pid: 101, ppid: 1, cookie: 'o2.r1' }],
      [ROOT],
    ],
    [
      'no process with a cookie that only begins like ours',
      [rootRow, { pid: 101, ppid: 1, cookie: 'o1.r11' }],
      [ROOT],
    ],
    [
      'no process with a malformed cookie',
      [rootRow, { pid: 101, ppid: 1, cookie: `${COOKIE}/` }],
      [ROOT],
    ],
    [
      'no kept process, and nothing below it',
      [
        rootRow,
        { pid: 101, ppid: ROOT, pgid: ROOT, cookie: `${COOKIE}/o2.r2.kept` },
        { pid: 102, ppid: 101, pgid: 102, sid: 102 },
        { pid: 103, ppid: 101, pgid: 103, sid: 103, cookie: `${COOKIE}/o2.r2.kept/o3.r1` },
      ],
      [ROOT],
    ],
    [
      'a kept root itself, and its descendants',
      [
        { ...rootRow, cookie: 'o0.r1.kept/o1.r1' },
        { pid: 101, ppid: 1, cookie: 'o0.r1.kept/o1.r1' },
      ],
      [ROOT, 101],
    ],

    [
      'nothing by a pid that has been reassigned',
      [
        { pid: ROOT, ppid: 1, startTime: 'later' },
        { pid: 101, ppid: ROOT, pgid: ROOT },
      ],
      [],
    ],
    [
      'a descendant only by its cookie where the pid has been reassigned',
      [
        { pid: ROOT, ppid: 1, startTime: 'later' },
        { pid: 101, ppid: ROOT, pgid: ROOT },
        { pid: 102, ppid: 1, cookie: COOKIE },
      ],
      [102],
    ],
    [
      'nothing by a known pid that has been reassigned',
      [{ pid: 101, ppid: 1, startTime: 'later' }],
      [],
      { from: gone, known: { 101: 's101' } },
    ],
    [
      'no group by its id once the handle is gone',
      [{ pid: 101, ppid: 1, pgid: ROOT, sid: ROOT }],
      [],
      { from: gone },
    ],
    [
      'no group that a stranger leads by now',
      [
        { pid: 101, ppid: 1, pgid: 101, sid: 101, cookie: COOKIE },
        { pid: 102, ppid: 1, pgid: 103, sid: 103, cookie: COOKIE },
        { pid: 103, ppid: 1, pgid: 103, sid: 103 },
        { pid: 104, ppid: 103, pgid: 103, sid: 103 },
      ],
      [101, 102],
      { from: gone },
    ],
    [
      'a root with an unknown start time, while its handle is held',
      [rootRow],
      [ROOT],
      { from: { ...root, startTime: undefined } },
    ],
    [
      'no root with an unknown start time once the handle is gone',
      [{ pid: ROOT, ppid: HOST }],
      [],
      { from: { ...gone, startTime: undefined } },
    ],

    [
      'the group of a dead root whose pid cannot have been reassigned',
      [{ pid: 101, ppid: 1, pgid: ROOT, sid: 77 }],
      [101],
      { from: ungiven },
    ],
    [
      'the session of a dead root whose pid cannot have been reassigned',
      [{ pid: 101, ppid: 1, pgid: 101, sid: ROOT }],
      [101],
      { from: ungiven },
    ],
    [
      'no group of a dead root that is only held: its exit may not have been reported yet',
      [{ pid: 101, ppid: 1, pgid: ROOT, sid: ROOT }],
      [],
    ],
    [
      'no group of a reaped root whose pid was reassigned, even with the same start time',
      [
        { pid: ROOT, ppid: 1 },
        { pid: 101, ppid: 1, pgid: ROOT, sid: ROOT },
      ],
      [],
      { from: ungiven },
    ],
    [
      'a group whose leader is dead and whose id cannot have been reassigned',
      [{ pid: 101, ppid: 1, pgid: 90, sid: 90 }],
      [101],
      { from: { ...gone, numbers: new Set([90]) } },
    ],
    [
      'no such group whose leader no snapshot has proven',
      [
        { pid: 90, ppid: 1 },
        { pid: 101, ppid: 90, pgid: 90, sid: 90 },
      ],
      [],
      { from: { ...gone, numbers: new Set([90]) } },
    ],
    [
      'no group or session of the host, and none of 0 or 1, even if their ids are passed as proven',
      [
        { pid: 101, ppid: 1, pgid: 101, sid: 40 },
        { pid: 102, ppid: 1, pgid: HOST, sid: 40 },
        { pid: 103, ppid: 1, pgid: 0, sid: 0 },
        { pid: 104, ppid: 1, pgid: 1, sid: 1 },
      ],
      [],
      { from: { ...gone, numbers: new Set([0, 1, 40, HOST]) } },
    ],
    [
      'in a leaderless session with a process older than the root, only those with our cookie',
      [
        { pid: 101, ppid: 1, pgid: 101, sid: 99, cookie: COOKIE },
        { pid: 102, ppid: 1, pgid: 102, sid: 99, startTime: 's' },
        { pid: 103, ppid: 1, pgid: 103, sid: 99 },
      ],
      [101],
      { from: gone },
    ],
    [
      'a leaderless session of a root that leads its own, as the table confirms',
      [
        { ...rootRow, pgid: ROOT, sid: ROOT },
        { pid: 102, ppid: 1, pgid: 102, sid: 99, cookie: COOKIE },
        { pid: 103, ppid: 1, pgid: 103, sid: 99 },
      ],
      [ROOT, 102, 103],
      { from: gone },
    ],
    [
      'a leaderless session of a dead root, and the groups in it',
      [
        { pid: 102, ppid: 1, pgid: 102, sid: 99, cookie: COOKIE },
        { pid: 103, ppid: 1, pgid: 98, sid: 99 },
        { pid: 104, ppid: 1, pgid: 98, sid: 97 },
      ],
      [102, 103, 104],
      { from: gone },
    ],
    [
      'a leaderless session of a root whose pid has been reassigned',
      [
        { pid: ROOT, ppid: 1, pgid: 90, sid: 90, startTime: 'later' },
        { pid: 102, ppid: 1, pgid: 102, sid: 99, cookie: COOKIE },
        { pid: 103, ppid: 1, pgid: 103, sid: 99 },
      ],
      [102, 103],
      { from: gone },
    ],
    [
      'no leaderless session of a root that leads none, even if its file says so',
      [
        { ...rootRow, pgid: ROOT, sid: 99 },
        { pid: 103, ppid: 1, pgid: 103, sid: 99 },
      ],
      [ROOT],
      { from: gone },
    ],
    [
      'a root with an unknown start time, by its handle alone',
      [{ pid: ROOT, ppid: HOST }],
      [ROOT],
      { from: { ...root, startTime: undefined } },
    ],

    [
      'a root in the host’s leaderless session, and no other process in it',
      [
        { pid: HOST, ppid: 1, pgid: HOST, sid: 39 },
        { pid: 101, ppid: 1, pgid: 101, sid: 39, cookie: COOKIE },
        { pid: 102, ppid: 1, pgid: 102, sid: 39 },
      ],
      [101],
      { from: gone },
    ],
    [
      'an adopted root in the session of the host, and no other process in it',
      [
        { pid: ROOT, ppid: 40, pgid: ROOT, sid: 40 },
        { pid: 101, ppid: ROOT, pgid: ROOT, sid: 40 },
        { pid: 60, ppid: 40, pgid: 60, sid: 40 },
        { pid: 61, ppid: 40, pgid: HOST, sid: 40 },
      ],
      [ROOT, 101],
      { from: adopted },
    ],
    [
      "an adopted root in the host's own group, and nobody else of it",
      [
        { pid: ROOT, ppid: HOST, pgid: HOST, sid: 40 },
        { pid: 60, ppid: HOST, pgid: HOST, sid: 40 },
      ],
      [ROOT],
      { from: adopted },
    ],
    [
      'an adopted root of a pipeline whose leader is dead, and no other process in it',
      [
        { pid: ROOT, ppid: 40, pgid: 99, sid: 40 },
        { pid: 98, ppid: 40, pgid: 99, sid: 40 },
      ],
      [ROOT],
      { from: adopted },
    ],
  ];

  it.each(CASES)('finds %s', (_what, rows, members, looking) => {
    expect(find(tableOf(...rows), looking)).toEqual(members);
  });

  it('never includes pid 1, the host or its ancestors, whatever their entries say', () => {
    // A host that runs inside an agent which it also supervises: the root is its own ancestor.
    const nested = tableOf(
      { pid: ROOT, ppid: 1, cookie: COOKIE },
      { pid: 45, ppid: ROOT, pgid: ROOT, cookie: COOKIE },
      { pid: HOST, ppid: 45, pgid: ROOT, sid: ROOT, cookie: COOKIE },
      { pid: 101, ppid: HOST, pgid: 101, sid: 101, cookie: COOKIE },
    );
    expect(find(nested)).toEqual([101]);
    const impostor = tableOf({ pid: 1, ppid: 0, pgid: ROOT, sid: ROOT, cookie: COOKIE }, rootRow);
    expect(find(impostor)).toEqual([ROOT]);
    expect(find(tableOf(), { from: { ...root, pid: 1, startTime: 's1' } })).toEqual([]);
    expect(find(tableOf(), { from: { ...root, pid: HOST, startTime: `s${HOST}` } })).toEqual([]);
  });

  it('does not take group 0, which is that of everyone outside the PID namespace', () => {
    const container = tableOf(
      { pid: HOST, ppid: 1, pgid: 0, sid: 0 },
      { ...rootRow, pgid: 0, sid: 0 },
      { pid: 60, ppid: 1, pgid: 0, sid: 0 },
    );
    expect(find(container)).toEqual([ROOT]);
  });

  it.each([0, 1])("does not take group %i where the host's ancestors are hidden", (number) => {
    const container = tableOf(
      { pid: 1, ppid: 0, alive: false },
      { pid: HOST, ppid: 39 },
      { ...rootRow, pgid: number, sid: number },
      { pid: 60, ppid: 39, pgid: number, sid: 60 },
      { pid: 61, ppid: 39, pgid: 61, sid: number },
    );
    expect(find(container)).toEqual([ROOT]);
  });

  it('finds the tree in a snapshot that missed the host itself', () => {
    const torn = new Map(tableOf(rootRow, { pid: 101, ppid: ROOT }));
    torn.delete(HOST);
    expect(find(torn)).toEqual([ROOT, 101]);
  });

  it('stops at a circle of ancestors, which a torn snapshot may show', () => {
    const torn = tableOf({ pid: 40, ppid: HOST }, rootRow, { pid: 101, ppid: ROOT });
    expect(find(torn)).toEqual([ROOT, 101]);
  });

  describe('in any table', () => {
    const number = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 0, max: 14 }) },
      { weight: 1, arbitrary: fc.constantFrom(HOST, 40, ROOT) },
    );
    const cookie = fc.constantFrom(
      ...[undefined, undefined, undefined, undefined, COOKIE, `${COOKIE}/o2.r2`],
      ...['o2.r2', `${COOKIE}/o2.r2.kept`, 'o2.r2.kept', `o2.r2.kept/${COOKIE}`],
    );
    const startTime = fc.constantFrom('s', 's', 's', 'later', 'a');
    const tags = fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      {
        weight: 1,
        arbitrary: fc.subarray([
          ...[TAG, LATER_TAG, '9111111111111000002', '9122222222222000001'],
          // Kept processes of two generations, and values that are no tags.
          ...['9033333333333000001', '8844444444444000001', '9223372036854775807'],
        ]),
      },
    );
    const row = fc.record({
      ...{ pid: number, ppid: number, pgid: number, sid: number, cookie, startTime, tags },
      alive: fc.integer({ max: 4 }).map((n) => n !== 0),
    });
    const anyRoot = fc.record({
      pid: fc.constantFrom(ROOT, 2, 3),
      startTime: fc.constantFrom('s', 's', undefined),
      leadsGroup: fc.boolean(),
      held: fc.boolean(),
      reaped: fc.boolean(),
      numbers: fc
        .array(fc.constantFrom(ROOT, 2, 3, 4, 5, 0, 1, HOST), { maxLength: 3 })
        .map((list) => new Set(list)),
      cookie: fc.constant(COOKIE),
      tag: fc.constantFrom(undefined, markOfTag(TAG)),
    });
    const anyKnown = fc.dictionary(fc.integer({ min: 2, max: 14 }).map(String), startTime, {
      maxKeys: 2,
    });
    const rows = fc.array(row, { maxLength: 20 });

    const isOlder = (a: string, b: string) =>
      a.length < b.length || (a.length === b.length && a < b);

    const leadOf = (tag: string) => Number(tag.slice(0, 2));
    const isKeptTag = (tag: string) => leadOf(tag) <= 91 && leadOf(tag) % 2 === 0;

    /** True if it has one of the root's tags, and no later generation was launched to live on. */
    function bearsTag({ tags = [] }: ProcessEntry, from: TreeRoot): boolean {
      const own = tags.filter((tag) => from.tag !== undefined && [TAG, LATER_TAG].includes(tag));
      return own.some(
        (tag) => !tags.some((other) => isKeptTag(other) && leadOf(other) < leadOf(tag)),
      );
    }

    /** True if any mark says that it was launched to live on. */
    function isKept(entry: ProcessEntry, from: TreeRoot): boolean {
      if (marksInCookie(entry.cookie).includes(from.cookie)) return false;
      if (parseCookie(entry.cookie).some((segment) => segment.kept)) return true;
      return !bearsTag(entry, from) && (entry.tags ?? []).some(isKeptTag);
    }

    /**
     * True if a cookie proves it, or a tag that it cannot have been given before the root existed.
     */
    function isMarked(entry: ProcessEntry, from: TreeRoot): boolean {
      if (marksInCookie(entry.cookie).includes(from.cookie)) return true;
      const wasBefore = from.startTime !== undefined && isOlder(entry.startTime, from.startTime);
      return bearsTag(entry, from) && !wasBefore;
    }

    /** The reason why a process may be ended on its own account, not because of another one. */
    function isProven(
      entry: ProcessEntry,
      from: TreeRoot,
      known: Record<string, string>,
      table: ProcessTable,
    ): boolean {
      if (isMarked(entry, from)) return true;
      if (known[entry.pid] === entry.startTime) return true;
      const leader = table.get(from.pid);
      // Windows: children still name a dead parent's pid.
      const orphaned = leader === undefined && entry.ppid === from.pid && from.held;
      if (orphaned && from.startTime !== undefined && !isOlder(entry.startTime, from.startTime)) {
        return true;
      }
      if (isNumbered(entry, from, known, table)) return true;
      const isRoot = leader !== undefined && isNotRecycled(leader, from);
      if (entry.pid === from.pid) return isRoot && (from.startTime !== undefined || from.held);
      if (!from.leadsGroup || !from.held || !isRoot) return false;
      return entry.pgid === from.pid || entry.sid === from.pid;
    }

    function isNotRecycled({ startTime }: ProcessEntry, { reaped, ...from }: TreeRoot): boolean {
      return !reaped && (from.startTime === undefined || startTime === from.startTime);
    }

    /** True if an id that cannot have been reassigned proves it, and no leader disproves it. */
    function isNumbered(
      entry: ProcessEntry,
      from: TreeRoot,
      known: Record<string, string>,
      table: ProcessTable,
    ): boolean {
      return [entry.pgid, entry.sid].some((number) => {
        if (!from.numbers?.has(number) || number <= 1) return false;
        const leader = table.get(number);
        if (leader === undefined) return true;
        if (number === from.pid) return isNotRecycled(leader, from);
        return !leader.alive || known[number] === leader.startTime;
      });
    }

    it('has no member without a chain of proof', () => {
      fc.assert(
        fc.property(rows, anyRoot, anyKnown, (list, from, known) => {
          const table = tableOf(...list);
          const members = new Set(find(table, { from, known }));
          // Every link of a chain of proof: the dead prove as well as the living.
          const provable = [...table.values()].filter(
            (entry) => !isKept(entry, from) && entry.pid > 1,
          );
          const proven = new Set(provable.filter((entry) => isProven(entry, from, known, table)));
          for (let size = -1; size !== proven.size; ) {
            size = proven.size;
            for (const entry of provable) {
              const linked = [...proven].some(
                (other) =>
                  entry.ppid === other.pid || entry.sid === other.sid || entry.pgid === other.pgid,
              );
              if (linked) proven.add(entry);
            }
          }
          const provenPids = new Set([...proven].map(({ pid }) => pid));
          for (const pid of members) expect(provenPids).toContain(pid);
        }),
        FUZZ,
      );
    });

    it('never includes pid 1, the dead, the kept, the host or its ancestors', () => {
      fc.assert(
        fc.property(rows, anyRoot, anyKnown, (list, from, known) => {
          const table = tableOf(...list);
          const ancestors = new Set<number>();
          for (let pid = HOST; pid > 0 && !ancestors.has(pid); pid = table.get(pid)?.ppid ?? 0) {
            ancestors.add(pid);
          }
          for (const pid of find(table, { from, known })) {
            expect(pid).toBeGreaterThan(1);
            expect(ancestors).not.toContain(pid);
            expect(table.get(pid)?.alive).toBe(true);
            expect(isKept(table.get(pid) as ProcessEntry, from)).toBe(false);
          }
        }),
        FUZZ,
      );
    });

    it('reaches into no group or session that a stranger leads', () => {
      fc.assert(
        fc.property(rows, anyRoot, anyKnown, (list, from, known) => {
          const table = tableOf(...list);
          const members = new Set(find(table, { from, known }));
          for (const pid of members) {
            const entry = table.get(pid) as ProcessEntry;
            const parent = table.get(entry.ppid);
            const isChild = members.has(entry.ppid) || parent?.alive === false;
            // Windows: the children of a dead root still name its pid.
            if (parent === undefined && entry.ppid === from.pid && from.held) continue;
            if (isChild || entry.pid === from.pid || known[pid] === entry.startTime) continue;
            if (isMarked(entry, from) || isNumbered(entry, from, known, table)) continue;
            // Only a group or session can have made it a member: one led by a member, or
            // leaderless.
            const numbers = [entry.pgid, entry.sid];
            const ours = numbers.filter(
              (number) => number === from.pid || members.has(number) || !table.get(number)?.alive,
            );
            expect(ours).not.toEqual([]);
          }
        }),
        FUZZ,
      );
    });

    it('finds every process with a mark of the root', () => {
      fc.assert(
        fc.property(rows, anyRoot, anyKnown, (list, from, known) => {
          const table = tableOf(...list);
          const members = new Set(find(table, { from, known }));
          const never = lineage(table, HOST);
          for (const entry of table.values()) {
            if (!entry.alive || entry.pid <= 1 || never.has(entry.pid)) continue;
            if (isMarked(entry, from) && !isKept(entry, from)) expect(members).toContain(entry.pid);
          }
        }),
        FUZZ,
      );
    });

    it('finds every child of a member', () => {
      fc.assert(
        fc.property(rows, anyRoot, anyKnown, (list, from, known) => {
          const table = tableOf(...list);
          const members = new Set(find(table, { from, known }));
          const lineage = new Set<number>();
          for (let pid = HOST; pid > 0 && !lineage.has(pid); pid = table.get(pid)?.ppid ?? 0) {
            lineage.add(pid);
          }
          for (const entry of table.values()) {
            if (!members.has(entry.ppid) || !entry.alive || lineage.has(entry.pid)) continue;
            if (entry.pid <= 1 || isKept(entry, from)) continue;
            expect(members).toContain(entry.pid);
          }
        }),
        FUZZ,
      );
    });

    it("finds only the root's own processes if no mark matches", () => {
      fc.assert(
        fc.property(rows, (list) => {
          const nobody = {
            ...gone,
            pid: 99,
            startTime: undefined,
            cookie: '',
            numbers: new Set<number>(),
          };
          expect(find(tableOf(...list), { from: nobody })).toEqual([]);
        }),
        FUZZ,
      );
    });
  });
});

describe('wholeGroups', () => {
  const groups = (table: ProcessTable, ...pids: readonly number[]) =>
    wholeGroups(
      table,
      pids.map((pid) => table.get(pid) as ProcessEntry),
    );

  it('returns the groups in which every live process is a member', () => {
    const table = tableOf(
      rootRow,
      { pid: 101, ppid: ROOT, pgid: ROOT },
      { pid: 102, ppid: ROOT, pgid: 102 },
      { pid: 103, ppid: 102, pgid: 102 },
      { pid: 104, ppid: 102, pgid: 102, alive: false },
    );
    expect(groups(table, ROOT, 101, 102, 103)).toEqual([ROOT, 102]);
    expect(groups(table, ROOT, 101, 102)).toEqual([ROOT]);
    expect(groups(table)).toEqual([]);
  });

  it('never returns group 0 or 1', () => {
    const table = tableOf(
      { pid: 1, ppid: 0, alive: false },
      { pid: 101, ppid: ROOT, pgid: 0 },
      { pid: 102, ppid: ROOT, pgid: 1 },
    );
    expect(groups(table, 101, 102)).toEqual([]);
  });

  it('never returns a group with a stranger in it', () => {
    const number = fc.integer({ min: 2, max: 9 });
    const row = fc.record({ pid: number, ppid: number, pgid: number, alive: fc.boolean() });
    fc.assert(
      fc.property(fc.array(row), fc.array(number), (list, chosen) => {
        const table = tableOf(...list);
        const members = chosen.flatMap((pid) => table.get(pid) ?? []);
        for (const pgid of wholeGroups(table, members)) {
          for (const entry of table.values()) {
            if (entry.pgid === pgid && entry.alive) expect(chosen).toContain(entry.pid);
          }
        }
      }),
      FUZZ,
    );
  });
});
