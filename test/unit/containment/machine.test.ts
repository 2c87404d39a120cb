// The slots of a machine in files: several hosts on one state directory, on an operating system in memory.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs, HOST_PID } from '../../../kit/fake-os.ts';
import type { RecoveryContext } from '../../../src/containment/context.ts';
import { removeDeadShares } from '../../../src/containment/dead-shares.ts';
import { SharedMachine } from '../../../src/containment/machine.ts';
import { type MachineSlot, TURN_MS } from '../../../src/policy/machine-slots.ts';
import type { HostShareFile } from '../../../src/store/formats.ts';
import {
  hostSharePath,
  journalPath,
  machineSlotsPath,
  slotSetHash,
} from '../../../src/store/layout.ts';
import type { Owner } from '../../../src/tree/identity.ts';

let os: FakeOs;
let stateDir: string;
let hosts: Host[];

beforeEach(() => {
  os = new FakeOs();
  stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-machine-'));
  hosts = [];
});
afterEach(() => {
  for (const { machine } of hosts) machine.close();
  rmSync(stateDir, { recursive: true, force: true });
});

/** One host of the machine, with what it was told. */
class Host {
  readonly owner: Owner;
  readonly machine: SharedMachine;
  readonly warnings: string[] = [];
  sweeps = 0;
  retries = 0;
  /** Called when its number is read, so that another host can act in between. */
  onLimit: () => void = () => undefined;

  constructor(instance: string, limit = 1, kind?: string) {
    this.owner = { ...os.identify(), instance };
    const context = {
      ...{ os, stateDir },
      limit: () => {
        this.onLimit();
        return limit;
      },
      owner: () => this.owner,
      identify: () => undefined,
      recovery: async () => contextOf(this.owner),
      sweep: async () => void this.sweeps++,
      warn: (code: string, message: string) => void this.warnings.push(`${code}: ${message}`),
      catchUp: () => undefined,
    };
    this.machine = new SharedMachine(context, kind);
    hosts.push(this);
  }

  take(sinceMs = os.clock.monotonicMs()): MachineSlot | undefined {
    return this.machine.take(request(sinceMs));
  }

  wait(sinceMs = os.clock.monotonicMs()): void {
    this.machine.await([request(sinceMs)], () => void this.retries++);
  }
}

const request = (sinceMs: number) => ({ sinceMs, request: { id: 'a-1', sessionId: 'one' } });
const contextOf = (self: Owner): RecoveryContext => ({
  ...{ os, stateDir, dryRun: false, self },
  ladder: { stdinEofMs: 0, termMs: 0, killMs: 0 },
});

/** The file of a host, by default that of one that lives. */
function put(
  instance: string,
  more: Partial<HostShareFile> = {},
  owner: Partial<Owner> = {},
): string {
  const them = { ...os.identify(), instance, ...owner };
  const share: HostShareFile = {
    ...{ version: 1, owner: them, limit: 1, held: 0, holders: [], waiting: [] },
    ...{ seenMs: os.clock.sinceBootMs(), ...more },
  };
  return write(instance, JSON.stringify(share), them);
}

function write(
  instance: string,
  text: string,
  owner: Owner = { ...os.identify(), instance },
): string {
  mkdirSync(machineSlotsPath(stateDir), { recursive: true, mode: 0o700 });
  const path = hostSharePath(stateDir, slotSetHash(owner, undefined), instance);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const read = ({ owner }: Host): HostShareFile =>
  JSON.parse(
    readFileSync(hostSharePath(stateDir, slotSetHash(owner, undefined), owner.instance), 'utf8'),
  );

function putJournal(instance: string): void {
  const owner = { ...os.identify(), instance };
  const header = { version: 1, owner, openedAt: 0 };
  writeFileSync(journalPath(stateDir, instance), `${JSON.stringify(header)}\n`, { mode: 0o600 });
}

describe('a slot of the machine', () => {
  it('is held by one host at a time, and its file says so', () => {
    const [one, other] = [new Host('one-0001'), new Host('other-0001')];
    const slot = one.take();
    expect(slot).toBeDefined();
    expect(read(one)).toMatchObject({ limit: 1, held: 1, holders: ['a-1'], waiting: [] });
    expect(other.take()).toBeUndefined();
    expect(other.machine.obstacle).toContain(
      `all 1 slots of this machine are held: pid ${HOST_PID}`,
    );
    slot?.release();
    slot?.release();
    expect(read(one)).toMatchObject({ held: 0, holders: [] });
    expect(other.take()).toBeDefined();
    one.machine.close();
    other.machine.close();
    expect(existsSync(machineSlotsPath(stateDir))).toBe(false);
  });

  it('of a kind is none of the machine', () => {
    expect(new Host('one-0001').take()).toBeDefined();
    expect(new Host('other-0001', 1, 'nightly').take()).toBeDefined();
    expect(new Host('third-0001', 1, 'nightly').take()).toBeUndefined();
  });

  it('is given back by a host that took it at the same time as another', () => {
    const host = new Host('one-0001');
    let reads = 0;
    // After the first look, and before the word of this host.
    host.onLimit = () => {
      if (++reads === 2) put('other-0001', { held: 1 });
    };
    expect(host.take()).toBeUndefined();
    expect(read(host)).toMatchObject({ held: 0, holders: [] });
  });

  it('is given back if the file was removed in between', () => {
    const host = new Host('one-0001', 5);
    expect(host.take()).toBeDefined();
    rmSync(machineSlotsPath(stateDir), { recursive: true });
    expect(host.machine.check()).toHaveLength(1);
    expect(host.machine.check()).toEqual([]);
    expect(read(host)).toMatchObject({ held: 1 });
  });

  it('counts by the smallest number, and each host is warned once', async () => {
    const [three, two] = [new Host('three-0001', 3), new Host('two-0001', 2)];
    expect([three.take(), two.take(), three.take()].map((slot) => slot !== undefined)).toEqual([
      ...[true, true, false],
    ]);
    three.take();
    two.take();
    await os.clock.settle();
    expect(three.warnings).toEqual([expect.stringMatching(/^MACHINE_CONCURRENCY: .* names 2: /)]);
    expect(two.warnings).toEqual([expect.stringMatching(/^MACHINE_CONCURRENCY: .* names 3: /)]);
  });
});

describe('a host that waits', () => {
  it('goes before one that comes later, as long as it asks', async () => {
    const [first, later] = [new Host('first-0001', 2), new Host('later-0001', 2)];
    const slots = [first.take(), first.take()];
    await os.clock.advance(10);
    first.wait(5);
    await os.clock.advance(10);
    slots[0]?.release();
    expect(later.take()).toBeUndefined();
    expect(later.machine.obstacle).toBe('1 requests of other hosts have waited longer');
    expect(first.take(5)).toBeDefined();
    first.machine.await([], () => undefined);
    slots[1]?.release();
    expect(later.take()).toBeDefined();
  });

  it('loses its turn while it does not ask', async () => {
    const host = new Host('one-0001', 2);
    const now = os.clock.sinceBootMs();
    put('stopped-0001', { limit: 2, held: 1, waiting: [{ sinceBootMs: now - 50 }], seenMs: now });
    expect(host.take()).toBeUndefined();
    await os.clock.advance(TURN_MS + 1);
    expect(host.take()).toBeDefined();
  });

  it('asks again and again, and says that it does', async () => {
    put('other-0001', { held: 1 });
    const host = new Host('one-0001');
    host.wait();
    await os.clock.advance(1000);
    expect(host.retries).toBeGreaterThan(3);
    host.wait();
    expect(read(host)).toMatchObject({ held: 0, waiting: [{ sessionId: 'one' }] });
    expect(read(host).seenMs).toBe(os.clock.sinceBootMs());
    host.machine.await([], () => undefined);
    const { retries } = host;
    await os.clock.advance(1000);
    expect(host.retries).toBe(retries);
    expect(read(host).waiting).toEqual([]);
  });

  it('has the processes of a dead host ended, whose turn is over', async () => {
    put('dead-0001', { limit: 2, held: 1, waiting: [{ sinceBootMs: 0 }] }, { pid: 32_000 });
    const host = new Host('one-0001', 2);
    expect(host.take()).toBeUndefined();
    host.wait();
    await os.clock.advance(3000);
    // At the first look, and once a second from then on.
    expect([2, 3]).toContain(host.sweeps);
    // What it holds counts until it is recovered; that it waits does not.
    expect(host.take()).toBeDefined();
    expect(host.take()).toBeUndefined();
    expect(os.log.filter((line) => line.startsWith('SIG'))).toEqual([]);
  });
});

describe('of several hosts that wait, a dead one is swept', () => {
  it('at once by the first in the queue, and by the others if it does not', async () => {
    put('dead-0001', { limit: 2, held: 2 }, { pid: 32_000 });
    const [first, second] = [new Host('first-0001', 2), new Host('second-0001', 2)];
    await os.clock.advance(10);
    first.wait(0);
    second.wait(5);
    await os.clock.advance(500);
    expect([first.sweeps, second.sweeps]).toEqual([1, 0]);
    await os.clock.advance(1000);
    expect(second.sweeps).toBe(1);
  });
});

describe('files that prove nothing', () => {
  it.each([
    ['is torn', '{"version":1,"own'],
    ['is of another format', '{"version":2}'],
    ['is empty', ''],
  ])('a share that %s counts as all slots while its host has a journal', async (_what, text) => {
    write('other-0001', text);
    putJournal('other-0001');
    const host = new Host('one-0001', 9);
    expect(host.take()).toBeUndefined();
    await removeDeadShares(contextOf(host.owner));
    expect(host.take()).toBeUndefined();
    rmSync(journalPath(stateDir, 'other-0001'));
    expect(host.take()).toBeDefined();
    await removeDeadShares(contextOf(host.owner));
    expect(readdirSync(machineSlotsPath(stateDir))).toHaveLength(1);
    expect(os.log.filter((line) => line.startsWith('SIG'))).toEqual([]);
  });

  it('a share that names another owner than its file counts for neither', () => {
    const them = { ...os.identify(), instance: 'other-0001' };
    write('liar-0001', JSON.stringify({ version: 1, owner: them, limit: 1, held: 1, holders: [] }));
    expect(new Host('one-0001').take()).toBeDefined();
  });

  it('a share of another boot is of another machine', () => {
    put('other-0001', { held: 1 }, { bootId: 'before' });
    expect(new Host('one-0001').take()).toBeDefined();
  });

  it.each([
    ['is dead', { pid: 32_000 }, true],
    ['lives', {}, false],
    ['cannot be judged', { pidNamespace: 'another' }, false],
  ])(
    'a share without a journal whose host %s is removed, or not',
    async (_who, owner, isRemoved) => {
      const path = put('other-0001', { held: 1 }, owner);
      await removeDeadShares({ ...contextOf(new Host('one-0001').owner), dryRun: true });
      expect(existsSync(path)).toBe(true);
      await removeDeadShares(contextOf(new Host('one-0001').owner));
      expect(existsSync(path)).toBe(!isRemoved);
    },
  );

  it('a dead share stays while a process bears the mark of its host', async () => {
    const path = put('other-0001', { held: 1 }, { pid: 32_000 });
    const bearer = os.add({ command: 'agent', cookie: 'other-0001.a-1' });
    const { owner } = new Host('one-0001');
    await removeDeadShares(contextOf(owner));
    expect(existsSync(path)).toBe(true);
    bearer.alive = false;
    bearer.cookie = undefined;
    await removeDeadShares(contextOf(owner));
    expect(existsSync(path)).toBe(false);
  });
});

describe('a folder that cannot be written', () => {
  it('lets requests wait, with a warning, until it can', async () => {
    const host = new Host('one-0001');
    writeFileSync(machineSlotsPath(stateDir), 'no folder');
    expect(host.take()).toBeUndefined();
    expect(host.take()).toBeUndefined();
    await os.clock.settle();
    expect(host.warnings).toEqual([expect.stringMatching(/^MACHINE_SLOTS: .*Requests wait/)]);
    expect(host.machine.obstacle).toContain('nothing can be written');
    rmSync(machineSlotsPath(stateDir));
    expect(host.take()).toBeDefined();
  });

  it('has a slot that was given back counted until it can be written', async () => {
    const [host, other] = [new Host('one-0001'), new Host('other-0001')];
    const slot = host.take();
    const folder = machineSlotsPath(stateDir);
    const text = JSON.stringify(read(host));
    rmSync(folder, { recursive: true });
    writeFileSync(folder, 'no folder');
    slot?.release();
    rmSync(folder);
    write('one-0001', text);
    expect(other.take()).toBeUndefined();
    await os.clock.advance(1001);
    expect(other.take()).toBeDefined();
  });
});
