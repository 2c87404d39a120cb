// Who may run a conversation's agent, among hosts that share nothing but a state directory.
import {
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UNKILLABLE } from '../../../kit/fake-os.ts';
import { type FakeHost, FakeWorld, PATIENCE_MS, type Request } from '../../../kit/fake-world.ts';
import { createExclusive } from '../../../src/store/exclusive.ts';

const IS_ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;
const DEAF = { SIGTERM: 'ignore' } as const;

/** As a host of this very boot would write it. */
function claimOf(world: FakeWorld, owner: object = {}, more: object = {}) {
  return {
    version: 1,
    conversation: world.conversation,
    owner: {
      ...world.os.identify(),
      pid: 32_000,
      startTime: '1',
      instance: 'AnotherHost',
      ...owner,
    },
    id: 'theirs-1',
    ...more,
  };
}

const write = (world: FakeWorld, claim: object): void =>
  writeFileSync(world.claimPath, JSON.stringify(claim), { mode: 0o600 });

describe('the agent of a host on another kernel', () => {
  const heartbeat = { beatMs: 10_000, giveUpMs: 60_000, lookMs: 5000 };
  const hosts = (world: FakeWorld) => {
    const there = { ...world.os.identify(), bootId: 'another' };
    return [
      world.host({}, { heartbeat, identify: () => there }),
      world.host({}, { heartbeat }),
    ] as const;
  };

  it('is left alone as soon as that shows a sign of life', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = hosts(world);
    const agent = theirs.ask('agent');
    const request = ours.ask('request');
    await world.pass(12_000);
    expect(request.told).toEqual(['CONVERSATION_BUSY']);
    expect(agent.told).toEqual(['started']);
  });

  it('counts no more once that was silent for a minute', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = hosts(world);
    theirs.ask('agent');
    theirs.crash();
    const request = ours.ask('request');
    await world.pass(59_000);
    expect(request.told).toEqual([]);
    await world.pass(16_000);
    expect(request.told).toEqual(['started']);
  });

  it('is ended by that when it goes on, and its conversation stays ours', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = hosts(world);
    const agent = theirs.ask('agent');
    const other = theirs.ask('other', { conversationId: undefined });
    theirs.stop();
    const request = ours.ask('request');
    await world.pass(90_000);
    expect(request.told).toEqual(['started']);
    expect(agent.told).toEqual(['started']);
    const claim = readFileSync(world.claimPath, 'utf8');
    theirs.continue();
    await world.pass(1000);
    expect(agent.report).toMatchObject({ cause: 'duplicate' });
    expect(theirs.warnings).toMatchObject([{ code: 'GIVEN_UP' }]);
    expect(readFileSync(world.claimPath, 'utf8')).toBe(claim);
    expect([request.told, other.told]).toEqual([['started'], ['started']]);
    // And it is told so, when it asks again.
    const again = theirs.ask('again');
    await world.pass(12_000);
    expect(again.told).toEqual(['CONVERSATION_BUSY']);
  });

  it('does not come back by a write of that, before its heartbeat tells it', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = hosts(world);
    const agent = theirs.ask('agent');
    theirs.stop();
    const request = ours.ask('request');
    await world.pass(90_000);
    const claim = readFileSync(world.claimPath, 'utf8');
    // What wakes it is a death, and no timer.
    world.os.die(agent.pid);
    await world.settle();
    expect(readFileSync(world.claimPath, 'utf8')).toBe(claim);
    expect(theirs.warnings).toMatchObject([{ code: 'GIVEN_UP' }]);
    expect(request.told).toEqual(['started']);
  });
});

describe('the agent of another live host', () => {
  it.each(['replace', 'reject'] as const)("is left alone by '%s'", async (onDuplicate) => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    const agent = theirs.ask('agent');
    const request = ours.ask('request', { onDuplicate });
    await world.pass(PATIENCE_MS);
    expect(request.told).toEqual(['CONVERSATION_BUSY']);
    expect(request.report?.error?.message).toContain(`host pid ${theirs.pid}`);
    expect(agent.told).toEqual(['started']);
    expect(world.launched).toEqual(['agent']);
    // It is free at once when that agent is dead.
    world.os.die(agent.pid);
    await world.settle();
    expect(ours.ask('later').pid).not.toBe(0);
  });

  it("is joined by 'allow', with a warning that names its host", async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    const agent = theirs.ask('agent');
    const request = ours.ask('request', { onDuplicate: 'allow' });
    await world.settle();
    expect(world.os.alive).toEqual(expect.arrayContaining([agent.pid, request.pid]));
    expect(ours.warnings).toMatchObject([{ code: 'CONVERSATION_SHARED' }]);
    expect(ours.warnings[0]?.message).toContain(`host pid ${theirs.pid}`);
    // The claim stays the first one's.
    world.os.die(request.pid);
    await world.settle();
    expect(readFileSync(world.claimPath, 'utf8')).toContain(agent.handle.id);
  });

  it("is ended by 'takeover', seen dead with its tree before the new one starts, and its host knows why", async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    world.os.reactions = { SIGTERM: { dieAfterMs: 5 } };
    const agent = theirs.ask('agent');
    const heir = world.os.fork(agent.pid, { pid: 900, pgid: 900, sid: 900, on: DEAF });
    world.os.reactions = {};
    const request = ours.ask('request', { onDuplicate: 'takeover' });
    const aliveAtLaunch: number[] = [];
    void request.handle.started.then(() => aliveAtLaunch.push(...world.os.alive));
    await world.pass(500);
    expect(request.told).toEqual(['started']);
    expect(aliveAtLaunch).not.toContain(agent.pid);
    expect(aliveAtLaunch).not.toContain(heir.pid);
    expect(agent.report).toMatchObject({
      cause: 'duplicate',
      intentional: true,
      signal: 'SIGTERM',
    });
    expect(world.files).toEqual([expect.stringMatching(/^conversation-\w+\.json$/)]);
    world.os.die(request.pid);
    await world.settle();
    expect(request.told).toEqual(['started', 'completed']);
    expect(world.files).toEqual([]);
  });

  it('is taken over although it is meant to outlive its host, with what it has left', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    const agent = theirs.ask('agent', { outlivesHost: true });
    const heir = world.os.fork(agent.pid, { pid: 900, pgid: 900, sid: 900, ppid: 1 });
    const request = ours.ask('request', { onDuplicate: 'takeover' });
    await world.pass(500);
    expect(request.told).toEqual(['started']);
    expect(world.os.alive).not.toContain(heir.pid);
    expect(agent.report).toMatchObject({ cause: 'duplicate', intentional: true });
  });

  it('is not taken over as long as it survives that', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    world.os.reactions = UNKILLABLE;
    const agent = theirs.ask('agent');
    const request = ours.ask('request', { onDuplicate: 'takeover' });
    await world.pass(PATIENCE_MS + 200);
    expect(request.told).toEqual(['CONVERSATION_BUSY']);
    expect(world.launched).toEqual(['agent']);
    expect(readFileSync(world.claimPath, 'utf8')).toContain(agent.handle.id);
  });

  it('is waited for by whoever has ended it, although patience runs out meanwhile', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    world.os.reactions = UNKILLABLE;
    // Nobody reads what it says: its host waits a while for that before it gives the claim up.
    const { conversation: conversationId } = world;
    const agent = theirs.supervisor.spawn({ command: 'agent', conversationId });
    world.os.reactions = {};
    const request = ours.ask('request', { onDuplicate: 'takeover' });
    await world.pass(PATIENCE_MS - 60);
    world.os.get(agent.pid ?? 0).on = {};
    await world.pass(1000);
    expect(world.os.alive).not.toContain(agent.pid);
    expect(request.told).toEqual(['started']);
  });

  it('is taken over by several, one after the other', async () => {
    using world = new FakeWorld();
    const hosts = Array.from({ length: 4 }, () => world.host());
    const requests = hosts.map((host, at) => host.ask(`${at}`, { onDuplicate: 'takeover' }));
    let most = 0;
    for (let ms = 0; ms < 2 * PATIENCE_MS; ms += 5) {
      await world.os.clock.advance(5);
      most = Math.max(most, agentsAlive(world, requests).length);
    }
    expect(most).toBe(1);
    const last = requests.filter(({ told }) => told.length === 1 && told[0] === 'started');
    expect(last).toHaveLength(1);
    for (const request of requests) {
      if (last.includes(request)) continue;
      expect([['started', 'duplicate'], ['CONVERSATION_BUSY']]).toContainEqual(request.told);
    }
    expect(hosts.flatMap(({ warnings }) => warnings)).toEqual([]);
  });

  it('is taken over although its host starts it again at once', async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    const restarted: Request[] = [];
    theirs.supervisor.on('exited', () => restarted.push(theirs.ask('again')));
    theirs.ask('agent');
    const request = ours.ask('request', { onDuplicate: 'takeover' });
    await world.pass(2000);
    expect(request.told).toEqual(['started']);
    expect(restarted.map(({ told }) => told)).toEqual([['CONVERSATION_BUSY']]);
    expect(world.launched).toEqual(['agent', 'request']);
  });

  it('is taken back by a host that insists, and each request comes to one end', async () => {
    using world = new FakeWorld();
    const hosts = [world.host(), world.host()];
    const requests: Request[] = [];
    const insist = (host: FakeHost, left: number): void => {
      const request = host.ask('agent', { onDuplicate: 'takeover' });
      requests.push(request);
      if (left > 0) void request.handle.exited.then(() => insist(host, left - 1));
    };
    for (const host of hosts) insist(host, 5);
    let most = 0;
    for (let ms = 0; ms < 3 * PATIENCE_MS; ms += 10) {
      await world.os.clock.advance(10);
      most = Math.max(most, agentsAlive(world, requests).length);
    }
    expect(most).toBe(1);
    const living = requests.filter(({ report }) => report === undefined);
    expect(living).toHaveLength(1);
    expect(living[0]?.told).toEqual(['started']);
    for (const { told } of requests)
      expect([['started'], ['started', 'duplicate'], ['CONVERSATION_BUSY']]).toContainEqual(told);
  });

  it('ends for its own reason when a takeover has come to nothing', async () => {
    using world = new FakeWorld();
    const theirs = world.host();
    const first = theirs.ask('first');
    // A note about somebody else, and one that is none.
    const note = world.claimPath.replace('.json', '.takeover');
    for (const text of [JSON.stringify({ of: `${theirs.instance}.other` }), '{', 'null']) {
      writeFileSync(note, text);
      expect(existsSync(world.claimPath)).toBe(true);
    }
    world.os.die(first.pid);
    await world.settle();
    expect(first.report).toMatchObject({ cause: 'completed', intentional: false });
    expect(world.files).toEqual([]);
  });
});

function agentsAlive(world: FakeWorld, requests: readonly Request[]): number[] {
  const alive = new Set(world.os.alive);
  return requests.map(({ pid }) => pid).filter((pid) => pid > 0 && alive.has(pid));
}

describe('a file that proves nothing', () => {
  const CASES: readonly [what: string, make: (world: FakeWorld) => void][] = [
    ['empty', ({ claimPath }) => writeFileSync(claimPath, '')],
    ['no JSON', ({ claimPath }) => writeFileSync(claimPath, '{"version":1,')],
    ['null', ({ claimPath }) => writeFileSync(claimPath, 'null')],
    ['of another format', (world) => write(world, claimOf(world, {}, { version: 2 }))],
    ['without an owner', (world) => write(world, { ...claimOf(world), owner: undefined })],
    ['with a pid of 0', (world) => write(world, claimOf(world, { pid: 0 }))],
    ['with an id that is a path', (world) => write(world, claimOf(world, {}, { id: '../x' }))],
    ['of another conversation', (world) => write(world, claimOf(world, {}, { conversation: 'x' }))],
    ['huge', (world) => write(world, claimOf(world, {}, { padding: 'x'.repeat(100_000) }))],
    ['a folder', ({ claimPath }) => mkdirSync(claimPath)],
    ['a link to nowhere', ({ claimPath }) => symlinkSync('/nowhere', claimPath)],
    [
      'a link to a good one',
      (world) => {
        const path = join(world.stateDir, 'good');
        writeFileSync(path, JSON.stringify(claimOf(world)));
        symlinkSync(path, world.claimPath);
      },
    ],
    [
      'of another machine',
      (world) => write(world, claimOf(world, { machine: 'elsewhere', bootId: 'another' })),
    ],
    [
      'of another PID namespace',
      (world) => write(world, claimOf(world, { pidNamespace: 'pid:[2]' })),
    ],
    ['without a start time', (world) => write(world, claimOf(world, { startTime: undefined }))],
    ...(IS_ROOT
      ? [
          [
            "another user's",
            (world: FakeWorld) => {
              write(world, claimOf(world));
              chownSync(world.claimPath, NOBODY, NOBODY);
            },
          ] as [string, (world: FakeWorld) => void],
        ]
      : []),
  ];

  it.each(CASES)('is left alone, and is as good as a live agent: %s', async (_, make) => {
    using world = new FakeWorld();
    make(world);
    const before = lstatSync(world.claimPath);
    const host = world.host();
    for (const onDuplicate of ['replace', 'takeover', 'reject'] as const) {
      const request = host.ask('request', { onDuplicate });
      await world.pass(50);
      expect(request.told).toEqual(['CONVERSATION_BUSY']);
      const message = request.report?.error?.message ?? '';
      expect(message.includes(world.claimPath) || message.includes('AnotherHost')).toBe(true);
    }
    await world.until(host.supervisor.sweep());
    const after = lstatSync(world.claimPath);
    expect([after.ino, after.mtimeMs, after.size]).toEqual([
      before.ino,
      before.mtimeMs,
      before.size,
    ]);
    expect(world.launched).toEqual([]);
    // Another conversation is none of its business.
    expect(host.ask('other', { conversationId: 'other' }).pid).not.toBe(0);
    const shared = host.ask('shared', { onDuplicate: 'allow' });
    await world.settle();
    expect(shared.told).toEqual(['started']);
    expect(host.warnings.map(({ code }) => code)).toContain('CONVERSATION_SHARED');
  });
});

describe("a dead host's claim", () => {
  it.each([
    ['by its start time', {}],
    ['by a reboot', { bootId: 'an earlier boot' }],
  ])('gives way where nothing of it lives: %s', async (_, owner) => {
    using world = new FakeWorld();
    write(world, claimOf(world, owner));
    const request = world.host().ask('request', { onDuplicate: 'reject' });
    await world.pass(200);
    expect(request.told).toEqual(['started']);
    expect(world.files).toHaveLength(1);
    world.os.die(request.pid);
    await world.settle();
    expect(world.files).toEqual([]);
  });

  it('gives way when its agent and what that has left are dead', async () => {
    using world = new FakeWorld();
    const theirs = world.host();
    world.os.reactions = DEAF;
    const agent = theirs.ask('agent');
    const heir = world.os.fork(agent.pid, { pid: 900, pgid: 900, sid: 900, ppid: 1, on: DEAF });
    world.os.reactions = {};
    theirs.crash();
    const ours = world.host();
    const request = ours.ask('request');
    const aliveAtLaunch: number[] = [];
    void request.handle.started.then(() => aliveAtLaunch.push(...world.os.alive));
    await world.pass(500);
    expect(request.told).toEqual(['started']);
    expect(aliveAtLaunch).not.toContain(agent.pid);
    expect(aliveAtLaunch).not.toContain(heir.pid);
    expect(world.files).toHaveLength(1);
  });

  it('stays as long as something of it survives', async () => {
    using world = new FakeWorld();
    const theirs = world.host();
    world.os.reactions = UNKILLABLE;
    const agent = theirs.ask('agent');
    world.os.reactions = {};
    theirs.crash();
    const ours = world.host();
    const refused = ours.ask('refused', { onDuplicate: 'takeover' });
    await world.pass(PATIENCE_MS + 1000);
    expect(refused.told).toEqual(['CONVERSATION_BUSY']);
    expect(world.launched).toEqual(['agent']);
    world.os.die(agent.pid);
    const request = ours.ask('request');
    await world.pass(500);
    expect(request.told).toEqual(['started']);
  });

  it('stays as long as an agent lives that is meant to', async () => {
    using world = new FakeWorld();
    const theirs = world.host();
    const agent = theirs.ask('agent', { outlivesHost: true });
    theirs.crash();
    const ours = world.host();
    const refused = ours.ask('refused');
    await world.pass(100);
    expect(refused.told).toEqual(['CONVERSATION_BUSY']);
    expect(refused.report?.error?.message).toContain(agent.handle.id);
    await world.until(ours.supervisor.sweep());
    expect(world.os.alive).toContain(agent.pid);

    // Whoever adopts it may end it.
    const adopted = await world.until(ours.supervisor.adopt({ id: agent.handle.id }));
    const again = ours.ask('again');
    await world.pass(100);
    expect(again.told).toEqual(['CONVERSATION_BUSY']);
    await world.until(ours.supervisor.sweep());
    await world.until(adopted.terminate());
    const request = ours.ask('request');
    await world.pass(500);
    expect(request.told).toEqual(['started']);
    world.os.die(request.pid);
    await world.settle();
    expect(world.files).toEqual([]);
  });

  it('is dealt with by one of several hosts, although nobody has its journal any more', async () => {
    using world = new FakeWorld();
    write(world, claimOf(world));
    const hosts = Array.from({ length: 5 }, () => world.host());
    const requests = hosts.map((host) => host.ask('request'));
    await world.pass(PATIENCE_MS);
    const told = requests.map((request) => request.told[0]).sort();
    expect(told).toEqual([...Array(4).fill('CONVERSATION_BUSY'), 'started']);
    await Promise.all(hosts.map(({ supervisor }) => world.until(supervisor.sweep())));
    expect(readdirSync(world.stateDir).filter((name) => name.includes('AnotherHost'))).toEqual([]);
  });

  it('stays while its agent lives, although nobody has its journal any more', async () => {
    using world = new FakeWorld();
    write(world, claimOf(world));
    const agent = world.os.add({ cookie: 'AnotherHost.theirs-1' });
    const host = world.host();
    const refused = host.ask('refused');
    await world.pass(PATIENCE_MS + 200);
    expect(refused.told).toEqual(['CONVERSATION_BUSY']);
    expect(world.os.alive).toContain(agent.pid);
    world.os.die(agent.pid);
    const request = host.ask('request');
    await world.pass(500);
    expect(request.told).toEqual(['started']);
  });

  it('leaves nothing half-written behind', async () => {
    using world = new FakeWorld();
    const theirs = world.host();
    theirs.ask('agent');
    const { instance } = theirs;
    theirs.crash();
    const { claimPath } = world;
    const takeover = claimPath.replace('.json', '.takeover');
    for (const path of [claimPath, takeover]) writeFileSync(`${path}.${instance}.tmp`, '{');
    writeFileSync(takeover, '{}');
    const ours = world.host();
    await world.until(ours.supervisor.start());
    expect(world.files).toEqual([]);
  });
});

describe('a state directory that fails', () => {
  it('costs a warning, and this host goes on', async () => {
    using world = new FakeWorld();
    const host = world.host();
    await world.until(host.supervisor.start());
    rmSync(world.stateDir, { recursive: true });
    const older = host.ask('older');
    expect(older.pid).not.toBe(0);
    expect(host.warnings.map(({ code }) => code)).toContain('CONVERSATION');
    const newer = host.ask('newer');
    await world.pass(200);
    expect(older.report?.cause).toBe('duplicate');
    expect(newer.told).toEqual(['started']);
  });

  it("hides no claim of another host's", async () => {
    using world = new FakeWorld();
    const [theirs, ours] = [world.host(), world.host()];
    const agent = theirs.ask('agent');
    await world.until(ours.supervisor.start());
    // Nothing new can be written: the link leads nowhere.
    const temporary = `${world.claimPath}.${ours.instance}.tmp`;
    symlinkSync('/nowhere/at/all', temporary);
    const request = ours.ask('request');
    await world.settle();
    expect(request.told).toEqual(['CONVERSATION_BUSY']);
    expect(agent.told).toEqual(['started']);
  });
});

describe('createExclusive', () => {
  const failing = (code: string) => (): void => {
    throw Object.assign(new Error(code), { code });
  };

  it.each([
    ['with hard links', linkSync],
    ['on a file system without them (EPERM)', failing('EPERM')],
    ['on a file system without them (ENOTSUP)', failing('ENOTSUP')],
  ])('makes a file once: %s', (_, link) => {
    using world = new FakeWorld();
    expect(createExclusive(world.claimPath, 'first', 'me', link)).toBe(true);
    expect(createExclusive(world.claimPath, 'second', 'me', link)).toBe(false);
    expect(readFileSync(world.claimPath, 'utf8')).toBe('first');
    expect(lstatSync(world.claimPath).mode & 0o777).toBe(0o600);
    expect(world.files).toHaveLength(1);
  });

  it('throws whatever else goes wrong, and leaves nothing behind', () => {
    using world = new FakeWorld();
    expect(() => createExclusive(world.claimPath, 'text', 'me', failing('EIO'))).toThrow('EIO');
    expect(world.files).toEqual([]);
  });
});
