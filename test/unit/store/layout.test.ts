// File names of a state directory: what each part of the package writes, every other part recognizes.
import { basename, dirname } from 'node:path';
import { expect, it } from 'vitest';
import {
  asidePath,
  claimPath,
  clockPath,
  conversationLockPath,
  dayPath,
  type FileKind,
  givenUpPath,
  heartbeatPath,
  hostSharePath,
  journalPath,
  keptPath,
  logPath,
  machineSlotsPath,
  nonceOfTaken,
  orderPath,
  parseName,
  restartsPath,
  servicePath,
  sessionOfFolder,
  sessionPath,
  slotSetHash,
  spawnLockPath,
  takenPath,
  takeoverNotePath,
  temporaryPath,
  unfinishedKind,
  workingFolderPath,
} from '../../../src/store/layout.ts';

const OWNER = '0f0e0d0c-1111-4222-8333-444455556666';
const OTHER = 'another-0001';
const HASH = 'ab'.repeat(16);
const NOON_MS = Date.UTC(2026, 2, 10, 12);

it.each<[string, string, FileKind, object]>([
  ['a journal', journalPath('/s', OWNER), 'journal', { owner: OWNER }],
  ['a claim', claimPath('/s', OWNER, OTHER), 'claim', { owner: OWNER, recoverer: OTHER }],
  ['a kept process', keptPath('/s', OWNER, 'a-1'), 'kept', { owner: OWNER, id: 'a-1' }],
  ['an order', orderPath('/s', OWNER, 'a-1'), 'order', { owner: OWNER, id: 'a-1' }],
  ['a session', sessionPath('/s', HASH), 'session', { hash: HASH }],
  ['a day', dayPath('/s', 'day', NOON_MS), 'day', { day: '2026-03-10' }],
  ['the history', dayPath('/s', 'history', NOON_MS), 'history', { day: '2026-03-10' }],
  ['a service', servicePath('/s', '../name'), 'service', {}],
  ['restarts', restartsPath('/s', '../name'), 'restarts', {}],
  ['a lock', conversationLockPath('/s', '../key'), 'conversation', { ending: 'json' }],
  [
    'a takeover',
    takeoverNotePath(conversationLockPath('/s', 'key')),
    'conversation',
    { ending: 'takeover' },
  ],
  ['the clock', clockPath('/s'), 'clock', {}],
  ['a heartbeat', heartbeatPath('/s', '0123456789ab'), 'heartbeat', {}],
  ['a given-up heartbeat', givenUpPath('/s', '0123456789ab'), 'heartbeat', {}],
  ['a spawn lock', spawnLockPath('/s/a.pid'), 'lock', {}],
  ['a right to remove a lock', takenPath('/s/a.lock', OWNER), 'lock', {}],
  ['a pid file', '/s/a.pid', 'pid-file', {}],
  ['a new file', temporaryPath('/s/a.pid', OWNER), 'half-written', { of: `a.pid.${OWNER}` }],
])('%s is recognized by its name', (_what, path, kind, parts) => {
  expect(dirname(path)).toBe('/s');
  const name = basename(path);
  expect(parseName(name)).toMatchObject({ kind, name, ...parts });
  expect(parseName(name, kind)).toEqual(parseName(name));
  expect(parseName(name, kind === 'clock' ? 'journal' : 'clock')).toBeUndefined();
  // Only locks and pid files may have any beginning.
  const isAnyName = ['lock', 'pid-file', 'half-written'].includes(kind);
  expect(parseName(`old-${name}`)?.kind).toBe(isAnyName ? kind : undefined);
});

it.each(['notes.txt', 'host-.jsonl', 'kept-a.b.c.jsonl', 'session-xyz.jsonl', 'clock.json.bak'])(
  '%s is none of ours',
  (name) => expect(parseName(name)).toBeUndefined(),
);

it('tells what a writer has left beside a file, and no other writer', () => {
  const path = '/s/a.pid';
  const kindOf = (left: string, writer = OWNER) => unfinishedKind(basename(left), path, writer);
  expect(kindOf(temporaryPath(path, `${OWNER}.1`))).toBe('temporary');
  expect(kindOf(asidePath(path, `${OWNER}.1`))).toBe('aside');
  expect(kindOf(asidePath(path, `${OWNER}.1`), OTHER)).toBeUndefined();
  expect(kindOf(asidePath('/s/b.pid', `${OWNER}.1`))).toBeUndefined();
  expect(kindOf(path)).toBeUndefined();
});

it('finds the nonce in the right to remove a lock, and in no other file', () => {
  expect(nonceOfTaken(basename(takenPath('/s/a.lock', OWNER)), '/s/a.lock')).toBe(OWNER);
  expect(nonceOfTaken(basename(takenPath('/s/b.lock', OWNER)), '/s/a.lock')).toBeUndefined();
  expect(nonceOfTaken('a.lock', '/s/a.lock')).toBeUndefined();
});

it('names the log after the pid file', () => {
  expect(logPath('/s/a.pid')).toBe('/s/a.log');
  expect(logPath('/s/a')).toBe('/s/a.log');
});

it('knows a session by its working folder, and not the shared one', () => {
  expect(sessionOfFolder(basename(workingFolderPath('/s', HASH)))).toBe(HASH);
  expect(sessionOfFolder(basename(workingFolderPath('/s')))).toBeUndefined();
});

it("a host's share of the machine's slots is recognized, in a folder of its own", () => {
  const set = slotSetHash({ bootId: 'boot', machine: 'm' }, '../kind');
  const path = hostSharePath('/s', set, OWNER);
  expect(dirname(path)).toBe(machineSlotsPath('/s'));
  expect(parseName(basename(path))).toMatchObject({ kind: 'share', set, owner: OWNER });
});
