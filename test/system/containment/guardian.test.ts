import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import {
  type Area,
  CAN_CONTAIN,
  CONTAINMENT_MARKER,
  type ContainedHost,
  endAndConfirm,
  findGuardians,
  GRACE_MS,
  it,
  LADDER,
  SLEEPER,
  statFieldsOf,
  statusOf,
  TREE_ROLES,
} from '../../../kit/containment.ts';
import {
  endByIdentity,
  environmentOf,
  eventually,
  isAlive,
  type ProcessKey,
  type ProcessRow,
  readRow,
} from '../../../kit/process-table.ts';
import { createSupervisor, type SpawnRequest } from '../../../src/index.ts';

type Death = (host: ContainedHost) => void;

const byCommand =
  (how: 'exit' | 'throw' | 'abort' | 'out-of-memory'): Death =>
  (host) =>
    host.send({ do: 'die', how });
const bySignal =
  (signal: NodeJS.Signals): Death =>
  (host) =>
    host.kill(signal);

const DEATHS: readonly (readonly [string, Death, flags?: readonly string[]])[] = [
  ['SIGKILL', bySignal('SIGKILL')],
  ['SIGTERM without a handler', bySignal('SIGTERM')],
  ['SIGINT', bySignal('SIGINT')],
  ['SIGHUP', bySignal('SIGHUP')],
  ['SIGSEGV', bySignal('SIGSEGV')],
  ['SIGABRT', bySignal('SIGABRT')],
  ['process.exit', byCommand('exit')],
  ['an uncaught throw', byCommand('throw')],
  ['process.abort', byCommand('abort')],
  ['running out of memory', byCommand('out-of-memory'), ['--max-old-space-size=32']],
];

async function guardianOf(area: Area) {
  const owners = area.owners();
  const [guardian] = await eventually(() => {
    const found = findGuardians(owners);
    return found.length === 1 && found;
  });
  if (guardian === undefined) throw new Error('no guardian');
  return guardian;
}

describe.runIf(CAN_CONTAIN)('a host dies', () => {
  it.for(DEATHS)(
    'by %s: nothing survives, nor does the guardian',
    async ([, die, flags], { area }) => {
      const host = await area.readyHost(flags ? { flags } : {});
      await host.growTree();
      const guardian = await guardianOf(area);

      die(host);
      const end = await host.exited;

      expect(end).not.toEqual({ code: 0, signal: null });
      expect(await area.survivors(GRACE_MS)).toEqual([]);
      await eventually(() => !isAlive(guardian), { timeoutMs: GRACE_MS, what: 'it goes too' });
    },
  );

  it('by SIGKILL, three rounds in a row', async ({ area }) => {
    for (let round = 1; round <= 3; round++) {
      const host = await area.readyHost();
      await host.growTree();
      host.kill('SIGKILL');
      await host.exited;
      expect(await area.survivors(GRACE_MS), `round ${round}`).toEqual([]);
    }
  });

  it.for([DEATHS[0], DEATHS[6]] as typeof DEATHS)(
    'by %s without a guardian: they survive (control)',
    async ([, die, flags], { area }) => {
      const host = await area.readyHost({
        options: { guardian: false },
        ...(flags ? { flags } : {}),
      });
      const tree = await host.growTree();
      die(host);
      await host.exited;
      const left = (await area.survivors(LADDER.termMs + LADDER.killMs)).sort();
      await endAndConfirm(tree);
      expect(left).toEqual([...TREE_ROLES]);
    },
  );
});

describe.runIf(CAN_CONTAIN)('the guardian', () => {
  it('guards before the first spawn, which waits for it', async ({ area }) => {
    const supervisor = createSupervisor({
      stateDir: area.stateDir,
      guardian: true,
      ladder: LADDER,
    });
    try {
      for (const kind of ['agent', 'tool']) {
        const seen: number[] = [];
        const handle = supervisor.spawn({
          ...SLEEPER,
          kind,
          env: area.env,
          onSpawn: () => seen.push(area.guardians().length),
        });
        if (kind === 'agent') {
          expect(handle.pid, 'queued').toBeUndefined();
          await handle.started;
        }
        // The guardian is there in the tick of the start; later spawns start in their own.
        expect(handle.pid).toBeGreaterThan(1);
        expect(seen).toEqual([1]);
      }
    } finally {
      await supervisor.stop();
    }
  });

  it('lets a spawn after start() start in its tick', async ({ area }) => {
    const supervisor = createSupervisor({
      stateDir: area.stateDir,
      guardian: true,
      ladder: LADDER,
    });
    await supervisor.start();
    try {
      expect(area.guardians()).toHaveLength(1);
      expect(supervisor.spawn({ ...SLEEPER, env: area.env }).pid).toBeGreaterThan(1);
    } finally {
      await supervisor.stop();
    }
  });

  it('goes with a clean stop, and ends nothing that was kept', async ({ area }) => {
    const host = await area.readyHost();
    const guardian = await startedGuardian(host);
    await host.ask({ do: 'spawn', request: LEAVES_A_SERVER });
    await host.listsNothing();
    const kept = area.tree();
    expect(kept).toHaveLength(1);

    await host.ask({ do: 'stop' });
    await eventually(() => !isAlive(guardian), { timeoutMs: 1000, what: 'it goes at once' });
    expect(area.files()).toEqual([]);
    expect(kept.map(isAlive)).toEqual([true]);

    await endAndConfirm(kept);
  });

  it('nor does a stop in the very moment of the exit', async ({ area }) => {
    const supervisor = createSupervisor({
      stateDir: area.stateDir,
      guardian: true,
      ladder: LADDER,
    });
    const stopped = new Promise((resolve) =>
      supervisor.on('leftovers', () => resolve(supervisor.stop())),
    );
    // The server holds stdout, so that the exit is not over for a while.
    const args = ['-c', 'setsid sleep 300 & exit 0'];
    supervisor.spawn({ ...LEAVES_A_SERVER, args, env: area.env });
    expect(await stopped).toMatchObject({ survivors: [] });
    // On a busy machine it may still be on its way from setsid to sleep.
    const kept = await eventually(() => {
      const tree = area.tree();
      return tree[0]?.args[0] === 'sleep' && tree;
    });
    expect(kept).toHaveLength(1);
    expect(area.files()).toEqual([]);
    await endAndConfirm(kept);
  });

  it('keeps no finished host alive', async ({ area }) => {
    const host = area.host({ script: 'contained-idle.ts' });
    await host.next(({ event }) => event === 'started');
    const owners = area.owners();
    expect(await host.exited).toEqual({ code: 0, signal: null });
    await eventually(() => findGuardians(owners).length === 0);
  });

  it.for(['at once', 'after a while'])(
    'is started again with a warning when it is killed %s, and guards the old groups',
    async (when, { area }) => {
      const host = await area.readyHost();
      const first = await startedGuardian(host);
      const startedAtMs = performance.now();
      // No cookie: only the group that the guardian was told of leads to it.
      const args = ['-c', `echo ready; exec env -i ${CONTAINMENT_MARKER}=${area.marker} sleep 300`];
      await host.ask({ do: 'spawn', request: { command: 'sh', args } });
      if (when === 'after a while')
        await eventually(() => performance.now() - startedAtMs > 1500, { what: 'it has lived' });

      await endAndConfirm([first]);
      await host.next(({ event, code }) => event === 'warning' && code === 'GUARDIAN');
      const second = await eventually(() => area.guardians()[0]);
      expect(second.pid).not.toBe(first.pid);
      // The host starts it and tells it of its groups in one tick; after its answer, that tick is over.
      await host.ask({ do: 'list' });
      await waitsForInput(second.pid);

      host.kill('SIGKILL');
      expect(await area.survivors(GRACE_MS)).toEqual([]);
    },
  );

  it('that cannot be started again for a while is so later, and costs no host its life', async ({
    area,
  }) => {
    const host = await area.readyHost({ through: ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'] });
    const first = await startedGuardian(host);
    await host.growTree();
    const warnings = () => host.messages.filter(({ code }) => code === 'GUARDIAN');

    // Longer than two tries take.
    await host.ask({ do: 'exhaust', forMs: 3500 });
    await endAndConfirm([first]);
    await eventually(() => warnings().length === 2, { what: 'it could not be started' });
    const second = await eventually(() => area.guardians()[0]);
    await host.ask({ do: 'list' });
    await waitsForInput(second.pid);
    expect(warnings(), 'one for the death, one for all that failed').toHaveLength(2);

    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });

  it('costs under 4 MB, forks nothing while it waits, and takes no time', async ({ area }) => {
    const host = await area.readyHost();
    const { pid } = await startedGuardian(host);
    const answer = await host.ask({ do: 'spawn', request: SLEEPER });
    const child = readRow(answer['pid'] as number);
    if (child !== undefined) await endAndConfirm([child]);
    await host.listsNothing();
    await waitsForInput(pid);

    expect(Number.parseInt(statusOf(pid)['VmRSS'] ?? '', 10)).toBeLessThan(4096);
    expect(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')).toBe('');
    const [, , , , , , , , minorFaultsOfChildren, , majorFaultsOfChildren] = statFieldsOf(pid);
    // A child that it had waited for would have left its page faults here.
    expect([minorFaultsOfChildren, majorFaultsOfChildren]).toEqual(['0', '0']);
  });

  it('has a session of its own, is no child of its host, and carries no cookie', async ({
    area,
  }) => {
    const host = await area.readyHost();
    const guardian = await startedGuardian(host);
    expect(guardian.ppid).not.toBe(host.child.pid);
    expect(guardian.sid).not.toBe(host.key.pid);
    const session = rows().filter(({ sid }) => sid === guardian.sid);
    expect(session.map(({ pid }) => pid)).toEqual([guardian.pid]);
    const names = environmentOf(guardian).map((line) => line.split('=')[0]);
    expect(names).not.toContain('AGENT_SUPERVISOR_COOKIE');
  });

  it.for(['locks', 'rss', 'rttime'])(
    'bears no tag of the supervisor that launched its host (%s)',
    async (limit, { area }) => {
      const tag = '9112345678901000001';
      const host = await area.readyHost({ through: ['prlimit', `--${limit}=${tag}:${tag}`] });
      expect(readFileSync(`/proc/${host.child.pid}/limits`, 'utf8')).toContain(tag);
      const guardian = await startedGuardian(host);
      expect(readFileSync(`/proc/${guardian.pid}/limits`, 'utf8')).not.toContain(tag);
      host.kill('SIGKILL');
    },
  );

  it('that somebody stops is told by the next sweep, once', async ({ area }) => {
    const host = await area.readyHost();
    const guardian = await startedGuardian(host);
    const warnings = () => host.messages.filter(({ code }) => code === 'GUARDIAN');
    await host.ask({ do: 'sweep' });
    expect(warnings()).toEqual([]);
    for (const stop of [1, 2]) {
      process.kill(guardian.pid, 'SIGSTOP');
      await eventually(() => readRow(guardian.pid)?.state === 'T');
      for (const _sweep of [1, 2]) await host.ask({ do: 'sweep' });
      expect(warnings()).toHaveLength(stop);
      expect(warnings().at(-1)?.['message']).toContain(`pid ${guardian.pid}`);
      process.kill(guardian.pid, 'SIGCONT');
      await eventually(() => readRow(guardian.pid)?.state !== 'T');
      await host.ask({ do: 'sweep' });
    }
    expect(warnings()).toHaveLength(2);
  });

  it('finds its tools although the host finds others first, and takes any number', async ({
    area,
  }) => {
    const folder = join(area.folder, 'bin');
    mkdirSync(folder);
    writeFileSync(join(folder, 'grep'), '#!/bin/sh\nexit 2\n', { mode: 0o755 });
    const path = `PATH=${folder}:${process.env['PATH']}`;
    const ladder = { ...LADDER, termMs: Number.MAX_VALUE };
    const host = await area.readyHost({ options: { ladder }, through: ['env', path] });
    const args = ['-c', 'setsid sleep 300 >/dev/null 2>&1 & echo ready; exec sleep 300'];
    await host.ask({ do: 'spawn', request: { command: 'sh', args, kind: 'tool' } });
    host.kill('SIGKILL');
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });
});

describe.runIf(CAN_CONTAIN)('a tool that ends a host by parent', () => {
  /** SIGINT to the host and all below it by parent, SIGKILL to the same ones 1.6 s later, as PM2 does. */
  async function killByParent(host: ContainedHost, also: readonly ProcessRow[] = []) {
    const list = [...belowByParent(host.key), ...also];
    for (const row of list) if (isAlive(row)) process.kill(row.pid, 'SIGINT');
    await delay(1600);
    endByIdentity(list);
  }
  // It lost its parent, so that no list has it, and takes no polite signal.
  const args = [
    '-c',
    '(trap "" TERM INT; setsid sleep 300 >/dev/null 2>&1 &) ; echo ready; exec sleep 300',
  ];
  const request: SpawnRequest = { command: 'sh', args, kind: 'tool' };

  it('leaves the guardian, which ends an orphan that ignores SIGTERM', async ({ area }) => {
    const host = await area.readyHost();
    await host.ask({ do: 'spawn', request });
    await eventually(() => area.tree().filter(({ command }) => command === 'sleep').length === 2);
    await killByParent(host);
    expect(await area.survivors(GRACE_MS)).toEqual([]);
  });

  it('leaves the orphan where it has the guardian in its list (control)', async ({ area }) => {
    const host = await area.readyHost();
    const guardian = await startedGuardian(host);
    await host.ask({ do: 'spawn', request });
    await eventually(() => area.tree().filter(({ command }) => command === 'sleep').length === 2);
    // Otherwise the host's own death, by SIGINT, would be its last order.
    process.kill(guardian.pid, 'SIGSTOP');
    await killByParent(host, [guardian]);
    const left = await area.survivors(LADDER.termMs + LADDER.killMs);
    await area.endAll();
    expect(left).toHaveLength(1);
  });
});

function rows(): ProcessRow[] {
  return readdirSync('/proc').flatMap((name) => {
    const row = /^\d+$/.test(name) ? readRow(Number(name)) : undefined;
    return row === undefined ? [] : [row];
  });
}

function belowByParent(root: ProcessKey): ProcessKey[] {
  const all = rows();
  const found: ProcessKey[] = [root];
  for (const { pid } of found) found.push(...all.filter(({ ppid }) => ppid === pid));
  return found;
}

/** Ends by itself and leaves a process that its request says to keep. */
const LEAVES_A_SERVER: SpawnRequest = {
  command: 'sh',
  args: ['-c', 'setsid sleep 300 >/dev/null 2>&1 </dev/null & echo ready'],
  kind: 'tool',
  leftovers: 'keep',
};

async function startedGuardian(host: ContainedHost) {
  await host.ask({ do: 'start' });
  const [guardian] = host.area.guardians();
  if (guardian === undefined) throw new Error('no guardian');
  return guardian;
}

/** The guardian has taken in all that it was told: it sleeps in the read of its pipe. */
async function waitsForInput(pid: number): Promise<void> {
  await eventually(
    () => {
      const switches = statusOf(pid)['voluntary_ctxt_switches'];
      const asleep = readFileSync(`/proc/${pid}/syscall`, 'utf8').startsWith('0 0x0 ');
      return asleep && switches === statusOf(pid)['voluntary_ctxt_switches'];
    },
    { what: 'the guardian waits' },
  );
}
