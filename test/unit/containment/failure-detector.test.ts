import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../../kit/fake-clock.ts';
import { FailureDetector } from '../../../src/containment/failure-detector.ts';
import { Heartbeat } from '../../../src/containment/heartbeat.ts';
import type { HeartbeatTimes, Liveness, Os } from '../../../src/os/os.ts';
import { heartbeatText, parseHeartbeat } from '../../../src/store/heartbeat-file.ts';
import { heartbeatPath, heartbeatSocket } from '../../../src/store/layout.ts';

const TIMES: HeartbeatTimes = { beatMs: 10_000, giveUpMs: 60_000, lookMs: 5000 };
const HERE = { bootId: 'boot' };

let folder: string;
let clock: FakeClock;
let refuses: boolean;
let answers: boolean;
let key: string | undefined;
let isOfEarlierBoot: boolean;
let os: Os;
let isBusy: boolean;
let givenUp: number[];
let closed: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-heartbeats-'));
  clock = new FakeClock();
  answers = true;
  [refuses, isOfEarlierBoot, key, isBusy, givenUp, closed] = [false, false, undefined, true, [], 0];
  const liveness: Liveness = {
    listen: (path) => {
      key = path;
      return { fd: 7, close: () => void closed++ };
    },
    key: () => key,
    ask: async () => (refuses ? 'refused' : answers ? 'alive' : 'silent'),
  };
  const userId = () => process.getuid?.();
  const isOld = () => isOfEarlierBoot;
  os = { clock, liveness, userId, heartbeat: TIMES, isOfEarlierBoot: isOld } as unknown as Os;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function host(graceMs = 0): Heartbeat {
  const heartbeat = new Heartbeat({
    ...{ os, times: TIMES, folder, graceMs },
    isNeeded: () => isBusy,
    givenUp: (silentMs) => givenUp.push(silentMs),
    warn: () => expect.unreachable(),
  });
  return heartbeat;
}

function open(graceMs = 0): Heartbeat {
  const heartbeat = host(graceMs);
  heartbeat.open();
  return heartbeat;
}

/** Looks from a host that sees another boot. */
const look = async (detector: FailureDetector, { id }: Heartbeat, bootId = 'another') =>
  (await detector.observe({ heartbeat: id, bootId }, HERE))?.verdict;

describe('a heartbeat on another kernel', () => {
  it('is given up when it was seen unchanged for 60 s, and not before', async () => {
    const heartbeat = open();
    const detector = new FailureDetector(os, folder);
    expect(await look(detector, heartbeat)).toBeUndefined();
    await clock.advance(300_000);
    expect(await look(detector, heartbeat)).toBeUndefined();
    isBusy = false;
    await clock.advance(55_000);
    expect(await look(detector, heartbeat)).toBeUndefined();
    await clock.advance(15_000);
    expect(await look(detector, heartbeat)).toBe('given-up');
  });

  it('counts no time in which the observer itself stood still', async () => {
    const heartbeat = open();
    heartbeat.close({ isWitness: true });
    const detector = new FailureDetector(os, folder, { looksOnce: true });
    expect(await look(detector, heartbeat)).toBeUndefined();
    await clock.advance(3_600_000);
    expect(await look(detector, heartbeat)).toBeUndefined();
  });

  it('is taken as missing as it stands, and not as a proof of death', async () => {
    const heartbeat = open();
    const detector = new FailureDetector(os, folder);
    isBusy = false;
    rmSync(heartbeatPath(folder, heartbeat.id));
    refuses = true;
    expect(await look(detector, heartbeat, 'boot')).toBeUndefined();
    await clock.advance(70_000);
    expect(await look(detector, heartbeat, 'boot')).toBe('given-up');
  });

  it('is that of an earlier boot where the disk says so', async () => {
    const heartbeat = open();
    isOfEarlierBoot = true;
    expect(await look(new FailureDetector(os, folder), heartbeat)).toBe('rebooted');
  });

  it('of a host that beats just now is not given up', async () => {
    const heartbeat = open();
    const detector = new FailureDetector(os, folder);
    await look(detector, heartbeat);
    writeFileSync(heartbeatPath(folder, heartbeat.id), heartbeatText({ beats: 99, graceMs: 0 }));
    expect(detector.giveUp(heartbeat.id)).toBe(false);
    expect(existsSync(heartbeatPath(folder, heartbeat.id))).toBe(true);
  });
});

describe('a socket on this kernel', () => {
  it('proves a death by its refusal, for ever', async () => {
    const heartbeat = open();
    const detector = new FailureDetector(os, folder);
    expect(await look(detector, heartbeat, 'boot')).toBeUndefined();
    refuses = true;
    expect(await look(detector, heartbeat, 'boot')).toBe('dead');
    rmSync(heartbeatPath(folder, heartbeat.id));
    expect(await look(detector, heartbeat, 'boot')).toBe('dead');
  });

  it.each(['another socket', undefined])('proves nothing in whose place is %s', async (now) => {
    const heartbeat = open();
    [refuses, key] = [true, now];
    expect(await look(new FailureDetector(os, folder), heartbeat, 'boot')).toBeUndefined();
  });

  it('keeps one from being given up, and tells whether its owner answers', async () => {
    const heartbeat = open();
    isBusy = false;
    answers = false;
    const detector = new FailureDetector(os, folder);
    const owner = { heartbeat: heartbeat.id, bootId: 'boot' };
    const before = await detector.observe(owner, HERE);
    expect(before).toMatchObject({ verdict: undefined, aliveAtMs: Number.NEGATIVE_INFINITY });
    for (let asked = 0; asked < 20; asked++) {
      await clock.advance(10_000);
      expect((await detector.observe(owner, HERE))?.verdict).toBeUndefined();
    }
    answers = true;
    expect(await detector.observe(owner, HERE)).toMatchObject({ aliveAtMs: clock.monotonicMs() });
  });

  it('proves nothing to another kernel', async () => {
    const heartbeat = open();
    refuses = true;
    expect(await look(new FailureDetector(os, folder), heartbeat)).toBeUndefined();
  });

  it('proves a death only after the grace of a guardian that does not hold it', async () => {
    const held = open(6000);
    expect(parseHeartbeat(textOf(held))).toMatchObject({ graceMs: 0 });
    // Made anew later, it is the host's alone.
    key = 'removed';
    await clock.advance(10_000);
    expect(parseHeartbeat(textOf(held))).toMatchObject({ graceMs: 6000 });
    refuses = true;
    const detector = new FailureDetector(os, folder);
    isBusy = false;
    expect(await look(detector, held, 'boot')).toBeUndefined();
    await clock.advance(6000);
    expect(await look(detector, held, 'boot')).toBe('dead');
  });
});

describe('a host', () => {
  it('that was given up learns it before it writes anything, and goes on under another', async () => {
    const heartbeat = open();
    const { id } = heartbeat;
    const detector = new FailureDetector(os, folder);
    await look(detector, heartbeat);
    expect(detector.giveUp(id)).toBe(true);
    heartbeat.catchUp();
    expect(givenUp).toEqual([]);
    await clock.advance(10_000);
    expect(givenUp).toEqual([10_000]);
    expect(heartbeat.id).not.toBe(id);
    expect(readdirSync(folder).sort()).toEqual(
      [`heartbeat-${id}.given-up`, `heartbeat-${heartbeat.id}.json`].sort(),
    );
  });

  it('whose heartbeat somebody has removed writes it anew', async () => {
    const heartbeat = open();
    rmSync(heartbeatPath(folder, heartbeat.id));
    await clock.advance(10_000);
    expect(existsSync(heartbeatPath(folder, heartbeat.id))).toBe(true);
    expect(givenUp).toEqual([]);
  });

  it('that slept for a minute, and finds its heartbeat gone, was given up', async () => {
    const heartbeat = open();
    isBusy = false;
    await clock.advance(70_000);
    renameSync(heartbeatPath(folder, heartbeat.id), join(folder, 'away'));
    heartbeat.catchUp();
    expect(givenUp).toEqual([70_000]);
  });

  it('that slept for long and was not given up goes on', async () => {
    const heartbeat = open();
    isBusy = false;
    await clock.advance(3_600_000);
    const before = textOf(heartbeat);
    heartbeat.catchUp();
    expect(givenUp).toEqual([]);
    expect(textOf(heartbeat)).not.toBe(before);
  });

  it('leaves nothing behind when it ends, but a socket that is a witness', () => {
    const heartbeat = open();
    writeFileSync(heartbeatSocket(folder, heartbeat.id), '');
    heartbeat.close();
    expect(readdirSync(folder)).toEqual([]);
    expect(closed).toBe(1);
    const witness = open();
    witness.close({ isWitness: true });
    expect(existsSync(heartbeatPath(folder, witness.id))).toBe(true);
  });
});

function textOf({ id }: Heartbeat): string {
  const [name = ''] = readdirSync(folder).filter((file) => file.includes(id));
  return readFileSync(join(folder, name), 'utf8');
}
