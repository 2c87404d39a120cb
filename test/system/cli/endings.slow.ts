import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { it } from '../../../kit/command-line.ts';
import {
  type Area,
  CAN_CONTAIN,
  type ContainedHost,
  GRACE_MS,
  type Message,
  SLEEPER,
  spawned,
} from '../../../kit/containment.ts';
import { eventually, isAlive, type ProcessRow, readRow } from '../../../kit/process-table.ts';
import type { SpawnRequest } from '../../../src/index.ts';

/** It ignores what is polite, and so does its child in a session of its own. */
const STUBBORN: SpawnRequest = {
  command: 'sh',
  args: ['-c', 'trap "" TERM HUP INT; setsid sleep 300 & echo ready; exec sleep 300'],
  kind: 'tool',
  sessionId: 'research',
};
const KEPT: SpawnRequest = { command: 'sleep', args: ['300'], kind: 'daemon', outlivesHost: true };
const QUICK = ['--grace', '200ms'];

/** Starts a host without a guardian, lets it start something and kills it. */
async function abandon(area: Area, request: SpawnRequest): Promise<ProcessRow[]> {
  const host = await area.readyHost({ options: { guardian: false } });
  const { pid } = await spawned(host, request);
  host.kill('SIGKILL');
  await host.exited;
  // Its child writes nothing when it has begun to sleep.
  return eventually(() => {
    const rows = area.tree();
    return rows.every(({ args }) => args[0] === 'sleep') && readRow(pid) && rows;
  });
}

const orders = (area: Area) => area.files().filter((name) => name.startsWith('order-'));
const history = (area: Area) =>
  readdirSync(area.stateDir)
    .filter((name) => name.startsWith('history-'))
    .flatMap((name) => readFileSync(join(area.stateDir, name), 'utf8').trim().split('\n'))
    .map((text): Record<string, unknown> => JSON.parse(text));

describe.runIf(CAN_CONTAIN)('what a live host started', () => {
  it.for([
    ['reap', 'reaped'],
    ['stop', 'terminated'],
  ] as const)('%s ends it as %s, and its host knows', async ([command, cause], { area, line }) => {
    const host = await area.readyHost();
    const { id, pid } = await spawned(host, STUBBORN);
    const other = await spawned(host, SLEEPER);
    const name = command === 'reap' ? 'research' : id;
    const { code, stdout, stderr } = await line.call([command, name, ...QUICK]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`ended sh (pid ${pid}, ${id})\n`);
    // Done means dead: only the other one is left.
    expect(area.tree().filter(({ args }) => args[0] === 'sleep')).toMatchObject([
      { pid: other.pid },
    ]);
    const { report } = await host.ask({ do: 'exited', id });
    expect(report).toMatchObject({ cause, intentional: true, signal: 'SIGKILL' });
    expect(orders(area)).toEqual([]);
    const end = history(area).findLast((note) => note['id'] === id);
    expect(end).toMatchObject({ event: 'ended', cause, pid });
  });

  it('stop of a host ends all that it has started, and the host goes on', async ({
    area,
    line,
  }) => {
    const host = await area.readyHost();
    const [first, second] = [await spawned(host, SLEEPER), await spawned(host, SLEEPER)];
    const { code, stdout } = await line.call(['stop', String(host.key.pid), '--json', ...QUICK]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      ended: [second, first].map((one) => ({ ...one, command: 'sh', sessionId: null })),
      survivors: [],
      leftAlone: [],
    });
    await host.listsNothing();
    expect(await spawned(host, SLEEPER)).toBeDefined();
  });

  it.for(['reap', 'stop'] as const)(
    'a service is not started again after %s, but after a crash',
    async (command, { area, line }) => {
      const host = await area.readyHost();
      const { command: sh, args } = STUBBORN;
      const definition = {
        name: 'index',
        command: sh,
        args,
        sessionId: 's',
        restart: { backoffMs: 20 },
      };
      const { pid } = await host.ask({ do: 'ensure', definition });
      // The control: it is a service that comes back.
      process.kill(Number(pid), 'SIGKILL');
      const next = await eventually(async () => {
        const { report } = await host.ask({ do: 'list' });
        return (report as { pid: number; id: string }[]).find((one) => one.pid !== pid);
      });
      await eventually(
        () => area.tree().filter(({ args: [name] }) => name === 'sleep').length >= 2,
      );
      const from = host.messages.length;
      const name = command === 'reap' ? 's' : next.id;
      expect(await line.call([command, name, ...QUICK])).toMatchObject({ code: 0 });
      const rests = await host.next((message) => message.event === 'service', from);
      expect(rests).toMatchObject({ name: 'index', state: 'idle' });
      await host.listsNothing();
      expect(states(host, from)).toEqual(['idle']);
    },
  );

  it('nor does a run start another attempt', async ({ area, line }) => {
    const host = await area.readyHost();
    await host.ask({ do: 'run', name: 'indexer', request: STUBBORN });
    await eventually(() => area.tree().filter(({ args: [name] }) => name === 'sleep').length === 2);
    expect(await line.call(['reap', 'research', ...QUICK])).toMatchObject({ code: 0 });
    const { report } = await host.next((message) => message.event === 'run');
    expect(report).toMatchObject({ outcome: 'intentional' });
    await host.listsNothing();
  });

  it('a host that dies while reap climbs the ladder', async ({ area, line }) => {
    const host = await area.readyHost();
    await spawned(host, STUBBORN);
    const reaping = line.call(['reap', 'research', '--grace', '3s']);
    await eventually(() => orders(area).length === 1);
    host.kill('SIGKILL');
    const { code, stdout, stderr } = await reaping;
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^ended sh/);
    expect(code).toBe(0);
    expect(await area.survivors(GRACE_MS)).toEqual([]);
    // Its order goes with its journal.
    await line.call(['recover', '--yes']);
    expect(orders(area)).toEqual([]);
  });
});

const states = (host: ContainedHost, from: number) =>
  host.messages
    .slice(from)
    .flatMap((message: Message) => (message.event === 'service' ? [message['state']] : []));

describe.runIf(CAN_CONTAIN)('what a dead host left', () => {
  it('recover says what it would do, and does it', async ({ area, line }) => {
    const tree = await abandon(area, STUBBORN);
    const files = area.files();
    const dry = await line.call(['recover', '--dry-run']);
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    for (const { pid } of tree)
      expect(dry.stdout).toMatch(
        new RegExp(`^would end \\S+ \\(pid ${pid}, of \\S+\\): its host is dead$`, 'm'),
      );
    expect(tree.filter(isAlive)).toEqual(tree);
    expect(area.files()).toEqual(files);
    const { orphans } = JSON.parse((await line.call(['recover', '--dry-run', '--json'])).stdout);
    expect(orphans).toHaveLength(tree.length);

    const { code, stdout } = await line.call(['recover', ...QUICK]);
    expect({ code, left: tree.filter(isAlive) }).toEqual({ code: 0, left: [] });
    expect(stdout).toMatch(/^ended sleep/m);
    expect(stdout).toMatch(/^cleaned up after host \S+$/m);
    expect(area.files().filter((name) => name.startsWith('host-'))).toEqual([]);
    expect((await line.call(['recover'])).stdout).toBe('Nothing to recover.\n');
  });

  it('recover --forget takes one at your word that cannot be judged, and no other', async ({
    area,
    line,
  }) => {
    const tree = await abandon(area, SLEEPER);
    const [instance = ''] = area.owners();
    const forget = (...more: string[]) =>
      line.call(['recover', '--forget', instance.slice(0, 8), ...more]);
    const dead = await forget();
    expect(dead).toMatchObject({ code: 1 });
    expect(dead.stderr).toContain('is proven dead');
    // As a host of an older version on another machine would have written it.
    const path = join(area.stateDir, `host-${instance}.jsonl`);
    const [header = '', ...lines] = readFileSync(path, 'utf8').split('\n');
    const { owner, ...rest } = JSON.parse(header);
    const { heartbeat: _, ...there } = { ...owner, machine: 'another', bootId: 'another' };
    writeFileSync(path, [JSON.stringify({ ...rest, owner: there }), ...lines].join('\n'));
    expect(await line.call(['recover', '--json'])).toMatchObject({ code: 0 });
    expect(area.owners()).toEqual([instance]);
    expect(await forget('--dry-run')).toMatchObject({
      code: 0,
      stdout: `would forget host ${instance}\n`,
    });
    expect(await forget()).toMatchObject({ code: 0, stdout: `forgot host ${instance}\n` });
    expect(area.owners()).toEqual([]);
    expect(tree.filter(isAlive)).toEqual(tree);
    expect((await forget()).stderr).toContain('There is no host');
    await area.endAll();
  });

  it('reap ends its session, and nothing else', async ({ area, line }) => {
    const tree = await abandon(area, STUBBORN);
    const kept = await abandon(area, { ...KEPT, sessionId: 'other' });
    const bystander = kept.filter((row) => !tree.some(({ pid }) => pid === row.pid));
    expect(await line.call(['reap', 'research', ...QUICK])).toMatchObject({ code: 0, stderr: '' });
    expect(tree.filter(isAlive)).toEqual([]);
    expect(bystander.filter(isAlive)).toEqual(bystander);
    expect((await line.call(['ps'])).stdout).toContain('(outlives its host)');
    const { id } = JSON.parse((await line.call(['ps', '--json'])).stdout).processes.at(-1);
    expect(await line.call(['stop', id, ...QUICK])).toMatchObject({ code: 0 });
    expect(bystander.filter(isAlive)).toEqual([]);
  });
});
