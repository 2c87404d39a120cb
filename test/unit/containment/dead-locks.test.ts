// The claims of hosts that are dead: which of them go, and for which a host takes it on again.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import type { RecoveryContext } from '../../../src/containment/context.ts';
import { removeConversationLocks, reviveJournals } from '../../../src/containment/dead-locks.ts';
import { conversationLockPath, takeoverNotePath } from '../../../src/store/layout.ts';
import type { Owner } from '../../../src/tree/identity.ts';

let os: FakeOs;
let stateDir: string;
let context: RecoveryContext;

beforeEach(() => {
  os = new FakeOs();
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-claims-'));
  context = {
    ...{ os, stateDir, dryRun: false },
    ladder: { stdinEofMs: 0, termMs: 0, killMs: 0 },
    self: { ...os.identify(), instance: 'ours-0001' },
  };
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

/** A host of this boot that is dead. */
const dead = (instance: string, more: Partial<Owner> = {}): Owner => ({
  ...os.identify(),
  ...{ pid: 32_000, startTime: '1', instance },
  ...more,
});

const put = (name: string, text = ''): void =>
  writeFileSync(join(stateDir, name), text, { mode: 0o600 });

function claim(owner: Owner, conversation: string = owner.instance): string {
  const name = conversationLockPath('', conversation);
  put(name, JSON.stringify({ version: 1, conversation, owner, id: 'a-1' }));
  return name;
}

const files = () => readdirSync(stateDir).sort();
const journals = () => files().filter((name) => name.startsWith('host-'));

describe('the claims of an owner that was proven dead', () => {
  it('go, with the notes of who takes them over, and nobody else’s', () => {
    const theirs = claim(dead('them-0001'));
    put(takeoverNotePath(theirs));
    claim(dead('them-0001'), 'another conversation');
    const others = claim(dead('others-01'));
    removeConversationLocks('them-0001', context);
    expect(files()).toEqual([others]);
  });

  it('stay where their process is kept', () => {
    const [theirs, kept] = [claim(dead('them-0001')), 'kept-them-0001.a-1.jsonl'];
    put(kept);
    removeConversationLocks('them-0001', context);
    expect(files()).toEqual([theirs, kept].sort());
  });

  it.each([
    ['what cannot be read', conversationLockPath('', 'them-0001'), '{'],
    ['what is named like none', `${conversationLockPath('', 'them-0001')}.bak`, ''],
    ['what only ends like one', `old-${conversationLockPath('', 'them-0001')}`, ''],
  ])('are not %s', (_what, name, text) => {
    put(name, text);
    removeConversationLocks('them-0001', context);
    expect(files()).toEqual([name]);
  });
});

describe('an owner of whom nothing but a claim is left', () => {
  it('has a journal again, by which one host acts for it', async () => {
    claim(dead('them-0001'));
    await reviveJournals(context);
    expect(journals()).toEqual(['host-them-0001.jsonl']);
  });

  it.each([
    ['is another boot’s', { bootId: 'before' }],
    ['has its pid taken by another', { pid: 50 }],
  ])('is dead also if it %s', async (_what, more) => {
    claim(dead('them-0001', more));
    await reviveJournals(context);
    expect(journals()).toEqual(['host-them-0001.jsonl']);
  });

  const carry = (cookie: string) => void os.add({ ppid: 1, cookie });
  it.each<[string, () => unknown]>([
    ['lives', () => claim({ ...os.identify(), instance: 'them-0001' })],
    ['cannot be judged from here', () => claim(dead('them-0001', { pidNamespace: 'pid:[2]' }))],
    ['is this host', () => claim(dead('ours-0001'))],
    ['has left a lock that cannot be read', () => put(conversationLockPath('', 'them-0001'), '{')],
    [
      'is acted for already',
      () => [claim(dead('them-0001')), put('claim-them-0001+others-01.jsonl')],
    ],
    [
      'has a process that is kept',
      () => [claim(dead('them-0001')), put('kept-them-0001.a-1.jsonl')],
    ],
    ['has a process that lives', () => [claim(dead('them-0001')), carry('them-0001.a-1')]],
    ['has one that is meant to', () => [claim(dead('them-0001')), carry('them-0001.a-1.kept')]],
  ])('has none made if it %s', async (_what, prepare) => {
    prepare();
    await reviveJournals(context);
    expect(journals()).toEqual([]);
  });

  it('is not dead while its start cannot be read', async () => {
    claim(dead('them-0001'));
    os.readError = new Error('EMFILE');
    await reviveJournals(context);
    expect(journals()).toEqual([]);
  });

  it('has one made for each owner, and none twice', async () => {
    claim(dead('them-0001'));
    claim(dead('them-0001'), 'another conversation');
    claim(dead('others-01'));
    await reviveJournals(context);
    await reviveJournals(context);
    expect(journals()).toEqual(['host-others-01.jsonl', 'host-them-0001.jsonl']);
  });

  it('has none made by who only looks', async () => {
    claim(dead('them-0001'));
    await reviveJournals({ ...context, dryRun: true });
    expect(journals()).toEqual([]);
  });

  it('has none left by who was too late', async () => {
    claim(dead('them-0001'));
    const { snapshot } = os.processes;
    // Another host begins to act in the moment in which we have seen that nobody does.
    const late = async () => {
      put('claim-them-0001+others-01.jsonl');
      return snapshot();
    };
    const slower = Object.assign(Object.create(os), {
      processes: { ...os.processes, snapshot: late },
    });
    await reviveJournals({ ...context, os: slower });
    expect(journals()).toEqual([]);
  });

  it.each([
    ['lives', 1],
    ['is dead', 32_000],
  ])('is judged by a look where nothing less tells: %s', async (what, pid) => {
    const mac = new FakeOs('darwin');
    const startTime = mac.get(1).startTime;
    const owner = { ...mac.identify(), bootId: 'fake-boot', pid, startTime, instance: 'them-0001' };
    claim(owner);
    const self = { ...owner, instance: 'ours-0001' };
    await reviveJournals({ ...context, os: mac, self });
    expect(journals()).toHaveLength(what === 'lives' ? 0 : 1);
  });
});
