// One host's conversation locks, file by file; what several hosts do is in conversation-lock.test.ts.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs, HOST_PID } from '../../../kit/fake-os.ts';
import { SharedConversationLocks } from '../../../src/containment/conversation-locks.ts';
import { conversationLockPath, takeoverNotePath } from '../../../src/store/layout.ts';
import { cookieSegment } from '../../../src/tree/cookie.ts';
import type { Owner } from '../../../src/tree/identity.ts';

const KEY = 'a conversation';
const CEDED_MS = 500;

let os: FakeOs;
let stateDir: string;
let owner: Owner;
let warnings: string[];
let locks: SharedConversationLocks;

beforeEach(() => {
  os = new FakeOs();
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-locks-'));
  owner = { ...os.identify(), instance: 'ours-0001' };
  warnings = [];
  locks = new SharedConversationLocks({
    ...{ os, stateDir },
    owner: () => owner,
    recovery: async () => ({
      ...{ os, stateDir, dryRun: false, self: owner },
      ladder: { stdinEofMs: 0, termMs: 0, killMs: 0 },
    }),
    sweep: async () => undefined,
    warn: (message) => warnings.push(message),
  });
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const pathOf = (key = KEY) => conversationLockPath(stateDir, key);
const written = (key = KEY) => JSON.parse(readFileSync(pathOf(key), 'utf8'));
/** Puts a file in the place of the lock. */
function write(text: string): string {
  writeFileSync(pathOf(), text, { mode: 0o600 });
  return text;
}

/** A lock of another owner, by default of this very boot. */
function theirs(more: Partial<Owner> = {}): string {
  const them = { ...os.identify(), instance: 'them-0001', ...more };
  return write(JSON.stringify({ version: 1, conversation: KEY, owner: them, id: 'a-7' }));
}

/** Another host says that it ends this process of ours to run the conversation. */
const note = (id: string) =>
  writeFileSync(
    takeoverNotePath(pathOf()),
    JSON.stringify({ of: cookieSegment({ owner: owner.instance, id }) }),
  );

describe('a conversation lock', () => {
  it('is a file that says who runs the conversation, until it is given up', () => {
    expect(locks.take(KEY, 'a-1')).toBe(true);
    expect(written()).toEqual({ version: 1, conversation: KEY, owner, id: 'a-1' });
    expect(locks.take(KEY, 'a-2')).toBe(false);
    expect(locks.pass(KEY, 'a-2')).toBe(true);
    expect(written()).toMatchObject({ id: 'a-2' });
    locks.release(KEY);
    expect(existsSync(pathOf())).toBe(false);
    expect(warnings).toEqual([]);
  });

  it('is written anew when it has become known who we are', () => {
    locks.take(KEY, 'a-1');
    owner = { ...owner, bootId: 'known by now' };
    locks.identify();
    expect(written()).toMatchObject({ owner, id: 'a-1' });
    locks.release(KEY);
    locks.identify();
    expect(existsSync(pathOf())).toBe(false);
  });

  it.each([
    ['of another', () => theirs()],
    ['that nobody can read', () => write('{')],
  ])('%s is neither taken nor changed nor removed', (_whose, put) => {
    const text = put();
    expect(locks.take(KEY, 'a-1')).toBe(false);
    locks.pass(KEY, 'a-1');
    locks.release(KEY);
    expect(readFileSync(pathOf(), 'utf8')).toBe(text);
  });

  it('that cannot be written costs a warning, and this host goes on', () => {
    rmSync(stateDir, { recursive: true });
    expect(locks.take(KEY, 'a-1')).toBe(true);
    expect(warnings).toEqual([expect.stringContaining(KEY)]);
    locks.pass(KEY, 'a-2');
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toContain(KEY);
  });
});

describe('who holds a conversation', () => {
  it('is nobody without a lock', async () => {
    expect(await locks.holder(KEY)).toEqual({ holder: 'nobody', name: '' });
  });

  it('is nobody where a lock of ours could not be removed; it is removed now', async () => {
    theirs(owner);
    expect(await locks.holder(KEY)).toEqual({ holder: 'nobody', name: '' });
    expect(existsSync(pathOf())).toBe(false);
    locks.take(KEY, 'a-1');
    expect(await locks.holder(KEY)).toEqual({ holder: 'nobody', name: '' });
    expect(written()).toMatchObject({ id: 'a-1' });
  });

  it.each([
    ['lives', {}, 'another'],
    ['is dead', { pid: 32_000 }, 'dead host'],
    ['is of another boot', { bootId: 'before' }, 'dead host'],
    ['is of another machine', { machine: 'another', bootId: 'another' }, 'unproven'],
    ['lives, under another name', { machine: 'another' }, 'another'],
    ['is of another PID namespace', { pidNamespace: 'pid:[2]' }, 'unproven'],
  ])('is named with its host, which %s', async (_what, more, holder) => {
    theirs(more);
    const found = await locks.holder(KEY);
    expect(found.holder).toBe(holder);
    const { pid = HOST_PID } = more as { pid?: number };
    expect(found.name).toContain(`process a-7 of supervisor them-0001 (host pid ${pid})`);
    expect(found.name.includes(pathOf())).toBe(holder === 'unproven');
  });

  it('is the process that its host has left to live on', async () => {
    theirs({ pid: 32_000 });
    os.add({ ppid: 1, cookie: 'them-0001.a-7' });
    expect(await locks.holder(KEY)).toMatchObject({ holder: 'dead host' });
    os.add({ ppid: 1, cookie: 'them-0001.a-7.kept' });
    const { holder, name } = await locks.holder(KEY);
    expect(holder).toBe('unproven');
    expect(name).toContain('outlived');
  });

  it('cannot be told where the lock cannot be read, but where that is', async () => {
    write('{');
    const { holder, name } = await locks.holder(KEY);
    expect(holder).toBe('unproven');
    expect(name).toContain(`${pathOf()} (unreadable; remove it if no agent runs`);
  });
});

describe('a conversation that another host has taken over', () => {
  beforeEach(() => locks.take(KEY, 'a-1'));

  it('is told by the note, of the very process', () => {
    expect(locks.wasTakenOver(KEY, 'a-1')).toBe(false);
    note('a-1');
    expect(locks.wasTakenOver(KEY, 'a-1')).toBe(true);
    expect(locks.wasTakenOver(KEY, 'a-2')).toBe(false);
    writeFileSync(takeoverNotePath(pathOf()), '{');
    expect(locks.wasTakenOver(KEY, 'a-1')).toBe(false);
  });

  it('is left to it for a while, although its lock is yet to come', async () => {
    note('a-1');
    locks.release(KEY);
    await os.clock.advance(CEDED_MS - 1);
    expect(locks.take(KEY, 'a-2')).toBe(false);
    expect(await locks.holder(KEY)).toEqual({
      holder: 'another',
      name: 'the host that has just taken it over',
    });
    expect(locks.take('another conversation', 'a-3')).toBe(true);
    await os.clock.advance(1);
    expect(await locks.holder(KEY)).toEqual({ holder: 'nobody', name: '' });
    expect(locks.take(KEY, 'a-2')).toBe(true);
  });

  it('is ours again at once if that host has had it and is done', async () => {
    note('a-1');
    locks.release(KEY);
    theirs();
    expect(await locks.holder(KEY)).toMatchObject({ holder: 'another' });
    rmSync(pathOf());
    expect(locks.take(KEY, 'a-2')).toBe(true);
  });

  it('is not, where the note is of an older process', () => {
    note('a-0');
    locks.release(KEY);
    expect(existsSync(takeoverNotePath(pathOf()))).toBe(false);
    expect(locks.take(KEY, 'a-2')).toBe(true);
  });
});

describe('nothing is taken over', () => {
  it.each([
    ['where nobody has it', () => undefined],
    ['where the lock cannot be read', () => write('{')],
    ['where no journal tells of the process', () => theirs()],
  ])('%s', async (_where, put) => {
    put();
    const log = [...os.log];
    expect(await locks.takeOver(KEY)).toBe(false);
    expect(os.log).toEqual(log);
    expect(existsSync(takeoverNotePath(pathOf()))).toBe(false);
  });
});
