// The private working folders of background agents.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeSupervision } from '../../../kit/fake-supervisor.ts';
import { isolatedCwd } from '../../../src/claude/index.ts';

const DAY_MS = 24 * 3_600_000;

let fake: FakeSupervision;
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agent-supervisor-cwd-'));
  fake = hostIn();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function hostIn(): FakeSupervision {
  const session = { retentionMs: DAY_MS, maxWallClockMs: null };
  const host = new FakeSupervision({ stateDir: join(folder, 'state'), session, guardian: false });
  host.os.clock.setWall(Date.now());
  return host;
}

async function aDayLater(host: FakeSupervision): Promise<void> {
  // The first sweep notes the time, so that the second one sees a day pass.
  await host.supervisor.sweep();
  await host.os.clock.advance(DAY_MS + 60_000);
  await host.supervisor.sweep();
}

describe('isolatedCwd', () => {
  it('returns one private folder below the state directory, the same for every host', () => {
    const path = isolatedCwd(fake.supervisor);
    expect(path).toBe(join(folder, 'state', 'cwd', 'shared'));
    expect(isolatedCwd(hostIn().supervisor)).toBe(path);
    for (const each of [path, dirname(path)]) expect(statSync(each).mode & 0o777).toBe(0o700);
  });

  it.each(['../..', '/etc', '..', 'a/b', 'x'.repeat(1000), 'con', '\u202e'])(
    'gives session %j a folder that is below its own, whatever its id is',
    (sessionId) => {
      const path = isolatedCwd(fake.supervisor, { sessionId });
      expect(path).toMatch(/\/state\/cwd\/session-[0-9a-f]{32}$/);
      expect(path.startsWith(folder)).toBe(true);
      expect(isolatedCwd(fake.supervisor, { sessionId })).toBe(path);
    },
  );

  it('treats a number and its text as the same session', () => {
    expect(isolatedCwd(fake.supervisor, { sessionId: 7 })).toBe(
      isolatedCwd(fake.supervisor, { sessionId: '7' }),
    );
  });

  it("removes a session's folder when the session is forgotten, and no other", async () => {
    const shared = isolatedCwd(fake.supervisor);
    const [quiet, live] = ['quiet', 'live'].map((sessionId) => {
      const cwd = isolatedCwd(fake.supervisor, { sessionId });
      mkdirSync(join(cwd, 'deep', 'er'), { recursive: true });
      writeFileSync(join(cwd, 'deep', 'file'), 'x');
      return cwd;
    });
    const process = fake.spawn('x', { sessionId: 'quiet', cwd: quiet });
    fake.spawn('x', { sessionId: 'live', cwd: live });
    fake.os.die(process.pid as number);
    await fake.until(process.exited);
    await fake.os.clock.advance(DAY_MS - 60_000);
    await fake.supervisor.sweep();
    expect([quiet, live, shared].map((path) => existsSync(path as string))).toEqual([
      true,
      true,
      true,
    ]);
    await fake.os.clock.advance(120_000);
    await fake.supervisor.sweep();
    expect([quiet, live, shared].map((path) => existsSync(path as string))).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('removes, after a while, the folder of a session that was never used', async () => {
    const path = isolatedCwd(fake.supervisor, { sessionId: 'never' });
    await fake.supervisor.sweep();
    expect(existsSync(path)).toBe(true);
    await aDayLater(fake);
    expect(existsSync(path)).toBe(false);
  });

  it('does not follow a link out of the state directory', async () => {
    const outside = join(folder, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'file'), 'x');
    const path = isolatedCwd(fake.supervisor, { sessionId: 'linked' });
    symlinkSync(outside, join(path, 'link'));
    const other = isolatedCwd(fake.supervisor, { sessionId: 'other' });
    rmSync(other, { recursive: true });
    symlinkSync(outside, other);
    await aDayLater(fake);
    expect(existsSync(path)).toBe(false);
    expect(existsSync(join(outside, 'file'))).toBe(true);
  });

  it('refuses a folder that others can write, and an invalid session id', () => {
    const path = isolatedCwd(fake.supervisor, { sessionId: 's' });
    chmodSync(path, 0o777);
    const unsafe = expect.objectContaining({ code: 'STATE_DIR_UNSAFE' });
    expect(() => isolatedCwd(fake.supervisor, { sessionId: 's' })).toThrow(unsafe);
    rmSync(path, { recursive: true });
    writeFileSync(path, 'a file');
    expect(() => isolatedCwd(fake.supervisor, { sessionId: 's' })).toThrow(unsafe);
    for (const sessionId of ['', null, {}, 'x'.repeat(1025)])
      expect(() => isolatedCwd(fake.supervisor, { sessionId: sessionId as string })).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTIONS' }),
      );
    expect(() => isolatedCwd(fake.supervisor, { session: 's' } as never)).toThrow(/"session"/);
  });
});
