// Real children that treat their streams badly: whatever they do, their end is told, right and soon.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect } from 'vitest';
import {
  endByIdentity,
  endByMarker,
  eventually,
  findByMarker,
  readRow,
} from '../../../kit/process-table.ts';
import { MARKER } from '../../../kit/scenarios.ts';
import { standing } from '../../../kit/state-dir.ts';
import { it as base, CAN_WATCH } from '../../../kit/supervised.ts';
import type { SpawnRequest, SupervisedProcess } from '../../../src/index.ts';
import { systemOs } from '../../../src/os/system.ts';
import { Supervisor } from '../../../src/supervisor/supervisor.ts';

const STARTS = ['at once', 'at once, its bytes counted', 'after queueing'] as const;

/** A grandchild in a session of its own that inherits all streams; goes on when it has its own name. */
const SLEEPER = ['setsid sleep 300 &', 'until grep -q sleep /proc/$!/comm; do :; done'];

/** A limit that is never reached, for which what goes through the streams is counted. */
const COUNTED = { startupMs: 3_600_000 };

/** For a child whose end nothing holds up. */
const SOON = { timeout: 30_000 };

const it = base
  .extend('supervisor', ({ supervise }) => supervise({ pool: { concurrency: 1 } }))
  .extend('script', ({ marker }) => {
    /** A request that runs a shell script, whose processes carry the marker. */
    return (...script: string[]): SpawnRequest => {
      const env = { PATH: process.env['PATH'], [MARKER]: marker };
      return { command: '/bin/sh', args: ['-c', script.join('\n')], env };
    };
  });

describe.runIf(CAN_WATCH).for(STARTS)('a child that starts %s', SOON, (when) => {
  const start = async (supervisor: Supervisor, request: SpawnRequest) => {
    if (when === 'at once') return supervisor.spawn(request);
    if (when !== 'after queueing') return supervisor.spawn({ ...request, limits: COUNTED });
    const lease = await supervisor.acquire();
    const child = supervisor.spawn(request);
    lease.release();
    return child;
  };

  it('writes 1 MB to stderr that nobody reads', async ({ supervisor, script }) => {
    const noise = `yes noise | head -c ${6 * 2 ** 18} >&2`;
    const request = script(noise, 'echo the end >&2', 'echo done', 'exit 3');
    const child = await start(supervisor, request);
    expect(await text(child.stdout)).toBe('done\n');
    const report = await child.exited;
    expect(report).toMatchObject({ cause: 'failed', code: 3, leftovers: [] });
    expect(report.stderrTail).toMatch(/^(noise\n)+the end\n$/);
  });

  it('reads 8 MB from stdin, byte for byte', async ({ supervisor, script }) => {
    const prompt = randomBytes(6 * 2 ** 20).toString('base64');
    const child = await start(supervisor, script('exec sha256sum'));
    child.stdin.end(prompt);
    const sum = createHash('sha256').update(prompt).digest('hex');
    expect(await text(child.stdout)).toBe(`${sum}  -\n`);
    expect(await child.exited).toMatchObject({ cause: 'completed' });
  });

  it('is read to the last byte by a reader that waits for its end', async ({
    supervisor,
    script,
  }) => {
    // More than a stream buffers, and less than stream and pipe hold together.
    const child = await start(supervisor, script('head -c 100000 /dev/zero'));
    let bytes = 0;
    for await (const chunk of child.stdout) {
      bytes += chunk.length;
      expect(await child.exited).toMatchObject({ cause: 'completed' });
    }
    expect(bytes).toBe(100_000);
  });

  it('has a reader that gives up', async ({ supervisor, script }) => {
    const child = await start(supervisor, script('exec yes'));
    for await (const _chunk of child.stdout) break;
    // By SIGPIPE, or by an error where something was left unread.
    expect((await child.exited).cause).toMatch(/^(crashed|failed)$/);
  });

  it('has a writer that gives up', async ({ supervisor, script }) => {
    const child = await start(supervisor, script('exec cat'));
    child.stdin.write('last words');
    await once(child.stdout, 'readable');
    child.stdin.destroy();
    expect(await text(child.stdout)).toBe('last words');
    expect(await child.exited).toMatchObject({ cause: 'completed', code: 0 });
  });

  it('closes its stdin and lives on: whoever writes learns of it', async ({
    supervisor,
    script,
  }) => {
    const child = await start(supervisor, script('exec <&-', 'echo ready', 'exec sleep 300'));
    await once(child.stdout, 'data');
    // An error may come first.
    const closed = new Promise((resolve) => child.stdin.once('close', resolve));
    child.stdin.write('for nobody');
    await closed;
    expect(child.stdin.writable).toBe(false);
    expect(child.exitCode).toBe(null);
    await child.terminate();
  });

  it('exits before it has read its stdin', async ({ supervisor, script }) => {
    const child = await start(supervisor, script('exec <&-', 'echo deaf', 'exit 4'));
    for (let written = 0; written < 8; written++) child.stdin.write('x'.repeat(2 ** 20));
    expect(await text(child.stdout)).toBe('deaf\n');
    expect(await child.exited).toMatchObject({ cause: 'failed', code: 4, signal: null });
    child.stdin.write('too late');
    child.stdin.end();
  });

  it('leaves a grandchild that holds its stdout', async ({ marker, supervisor, script }) => {
    const child = await start(supervisor, script(...SLEEPER, 'echo last', 'exit 5'));
    expect(await text(child.stdout)).toBe('last\n');
    const report = await child.exited;
    expect(findByMarker(MARKER, marker)).toEqual([]);
    expect(report).toMatchObject({ cause: 'failed', code: 5, leftovers: [{ command: 'sleep' }] });
  });

  it('leaves one that is to be kept and writes on', async ({ marker, supervisor, script }) => {
    const request = script('while :; do echo more; sleep 0.05; done &', 'echo last');
    const child = await start(supervisor, { ...request, leftovers: 'keep' });
    expect(await text(child.stdout)).toMatch(/^(last|more)\n(more\n)*/);
    expect(await child.exited).toMatchObject({ cause: 'completed' });
    await endByMarker(MARKER, marker);
  });

  it('leaves one that is to be kept', async ({ marker, supervisor, script }) => {
    const request = script(...SLEEPER, 'echo last >&2', 'echo last');
    const child = await start(supervisor, { ...request, leftovers: 'keep' });
    expect(await text(child.stdout)).toBe('last\n');
    const report = await child.exited;
    const kept = findByMarker(MARKER, marker);
    expect(kept).toHaveLength(1);
    expect(report).toMatchObject({
      cause: 'completed',
      stderrTail: 'last\n',
      leftovers: [{ pid: kept[0]?.pid, command: 'sleep' }],
    });
    expect(supervisor.list()).toEqual([]);
    endByIdentity(kept);
    await eventually(() => findByMarker(MARKER, marker).length === 0);
  });
});

describe.runIf(CAN_WATCH)('a child that is dead before its record is written', SOON, () => {
  it.for([
    { script: 'exit 6', end: { cause: 'failed', code: 6, signal: null } },
    { script: 'kill -KILL $$', end: { cause: 'crashed', code: null, signal: 'SIGKILL' } },
  ])('by $script', async ({ script: line, end }, { home, script }) => {
    const stateDir = join(home, 'state');
    const supervisor = new Supervisor({ stateDir, pool: { concurrency: 1 } }, deadOnArrival());
    const children = [line, line].map((text) => supervisor.spawn(script('echo hello', text)));
    for (const child of children) {
      expect(await text(child.stdout)).toBe('hello\n');
      expect(await child.exited).toMatchObject({ ...end, pid: child.pid, leftovers: [] });
    }
    expect(journalOf(stateDir)).toEqual(
      children.flatMap(({ id }) => [`add ${id}`, `remove ${id}`]),
    );
    expect(supervisor.list()).toEqual([]);
    await supervisor.stop();
  });
});

/** An operating system on which every child has died by the time its launch returns. */
function deadOnArrival() {
  const os = systemOs();
  return {
    ...os,
    launch(request: Parameters<typeof os.launch>[0]) {
      const launched = os.launch(request);
      while (readRow(launched.child?.pid ?? 0) !== undefined);
      return launched;
    },
  };
}

function journalOf(stateDir: string): string[] {
  const [file = ''] = standing(stateDir);
  const [, ...changes] = readFileSync(join(stateDir, file), 'utf8').trim().split('\n');
  return changes.map((line) => {
    const { add, remove } = JSON.parse(line) as { add?: SupervisedProcess; remove?: string };
    return add === undefined ? `remove ${remove}` : `add ${add.id}`;
  });
}
