// The guardian's script, fed by hand under every shell that a system may call `sh`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it, statFieldsOf } from '../../../kit/containment.ts';
import {
  carrying,
  FedGuardian,
  OWNER,
  type Shell,
  started as startedAs,
  TAG,
} from '../../../kit/fed-guardian.ts';
import { endByIdentity, eventually, isAlive, readRow } from '../../../kit/process-table.ts';
import { hasProgram } from '../../../kit/programs.ts';
import { shellCommand } from '../../../src/os/guardian-cleanup.ts';

const started = (area: Area, env: Record<string, string>, script = 'exec sleep 300') =>
  startedAs(area, env, ['sh', '-c', script]);

/** Cookies whose carriers the owner's guardian ends. */
const OURS = [
  `${OWNER}.1`,
  `OuterOwner.1/${OWNER}.2`,
  `OuterOwner.1.kept/${OWNER}.2`,
  `${OWNER}.1/InnerOwner.2`,
  `A.1/${OWNER}.2/B.3/C.4`,
];
/** Cookies whose carriers it must not even look at. */
const NOT_OURS = [
  `${OWNER}.1.kept`,
  `OuterOwner.1/${OWNER}.1.kept`,
  `${OWNER}.1/InnerOwner.2.kept`,
  `x${OWNER}.1`,
  `${OWNER}x.1`,
  `${OWNER}`,
  `${OWNER}.`,
  `${OWNER}.1/`,
  `${OWNER}x1`,
  `InnerOwner.${OWNER}`,
  '',
];

/** Tests the guardian's script under each of these shells. */
export function describeGuardianUnder(shells: readonly Shell[]): void {
  describe.runIf(CAN_CONTAIN).for(shells)('the guardian under $name', (shell) => {
    it('ends registered groups and carriers of our cookie, and nobody else', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell).ready();
      const group = started(area, {}, 'sleep 300 & sleep 300 & exec sleep 300');
      const late = started(area, {});
      const stubborn = started(area, {}, 'trap "" TERM; exec sleep 300');
      const stubbornCarrier = started(
        area,
        carrying(OURS[0] ?? ''),
        'trap "" TERM; exec sleep 300',
      );
      const carriers = OURS.map((cookie) => started(area, carrying(cookie)));
      const strangers = [
        ...NOT_OURS.map((cookie) => area.canary(carrying(cookie))),
        // The name has to be the whole name.
        area.canary({ NOT_AGENT_SUPERVISOR_COOKIE: `${OWNER}.1` }),
        area.canary({ NOTE: `AGENT_SUPERVISOR_COOKIE=${OWNER}.1` }),
        // Nor does a command line that quotes it prove anything.
        area.canary({}, [
          'bash',
          '-c',
          `exec -a "$0" sleep 300`,
          `x AGENT_SUPERVISOR_COOKIE=${OWNER}.1 y`,
        ]),
      ];
      const recycled = area.canary();
      const forgotten = area.canary();
      await eventually(() => readRow(stubborn.pid)?.command === 'sleep');
      await eventually(() => readRow(stubbornCarrier.pid)?.command === 'sleep');

      for (const row of [group, stubborn, forgotten]) guardian.register(row);
      // Before the host knows when it started (macOS), and once it does.
      guardian.tell(`+ ${late.pid} `);
      guardian.register(late);
      // The pid is alive, but it is not the process that was registered; -1, 0 and 1 are nobody's.
      guardian.register(recycled, -1);
      for (const pid of [-1, 0, 1]) guardian.tell(`+ ${pid} 1`);
      guardian.tell('+ not-a-pid 1');
      guardian.tell('nonsense; kill 1');
      guardian.tell(`- ${forgotten.pid}`);

      expect(await guardian.hangUp()).toBe(0);
      expect(area.tree()).toEqual([]);
      expect([group, late, stubborn, stubbornCarrier, ...carriers].filter(isAlive)).toEqual([]);
      expect([...strangers, recycled, forgotten].filter((row) => !isAlive(row))).toEqual([]);
      expect(guardian.errors.join('')).toBe('');
    });

    it('takes zombies for dead', async ({ area }) => {
      const times = { politeMs: 20_000, forcedMs: 20_000 };
      const guardian = await new FedGuardian(area, shell, { times }).ready();
      // The sleeper never asks how its child ended, and the child leads a group of its own.
      const keeper = started(area, {}, 'setsid sh -c "exit 0" & exec sleep 300');
      const zombie = await eventually(() => zombieChildOf(keeper.pid));
      guardian.register(zombie);
      const hungUpMs = performance.now();
      expect(await guardian.hangUp()).toBe(0);
      expect(performance.now() - hungUpMs).toBeLessThan(10_000);
      expect(isAlive(keeper)).toBe(true);
      endByIdentity([keeper]);
    });

    it('runs the cleanups that are left when nobody of ours is', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell).ready();
      const group = started(area, {}, 'trap "" TERM; exec sleep 300');
      await eventually(() => readRow(group.pid)?.command === 'sleep');
      guardian.register(group);
      const file = join(area.folder, 'cleaned');
      const args = ["it's", 'two\nlines', ' Á\u0081é ', '', '$HOME `x` "q" \\ %s', '-n'];
      const env = { ...area.env, TOLD: "a 'secret'\nvalue ", 'not-a-name': 'x', UID: '7' };
      const note = 'kill -0 "$1" && exit; file=$2; shift 2; printf "%s|" "$@" "$TOLD" >> "$file"';
      const command = (...more: string[]) =>
        shellCommand({
          command: 'sh',
          args: ['-c', note, 'sh', `${group.pid}`, file, ...more],
          env,
        });
      guardian.tell(`cleanup 1 5000 ${command('taken back')}`);
      guardian.tell(`cleanup 2 5000 ${command(...args)}`);
      guardian.tell('cleaned 1');
      const hangs = { command: 'sh', args: ['-c', 'sleep 300 & exec sleep 300'], env: area.env };
      guardian.tell(`cleanup 3 500 ${shellCommand(hangs)}`);
      guardian.tell('cleanup nobody;kill 5 touch x');
      expect(await guardian.hangUp()).toBe(0);
      expect(guardian.errors).toEqual([]);
      expect(readFileSync(file, 'utf8')).toBe(
        [...args, env.TOLD].map((each) => `${each}|`).join(''),
      );
      expect(area.tree()).toEqual([]);
    });

    it('leaves a record alone that was let go, and no other', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell, { tag: TAG }).ready();
      const spared = [
        area.canary(carrying(`${OWNER}.ab-3`)),
        area.canary(carrying(`A.1/${OWNER}.ab-3/B.2`)),
        ...(shell.onlyPs || !hasProgram('/usr/bin/prlimit')
          ? []
          : [
              area.canary({}, ['prlimit', `--locks=91${TAG}000003:91${TAG}000003`, 'sleep', '300']),
            ]),
      ];
      const group = area.canary(carrying(`${OWNER}.ab-3`));
      for (const id of ['ab-31', 'ab-4', 'xab-3']) started(area, carrying(`${OWNER}.${id}`));
      const tagged = ['prlimit', `--locks=91${TAG}000031:91${TAG}000031`, 'sleep', '300'];
      if (!shell.onlyPs && hasProgram('/usr/bin/prlimit')) startedAs(area, {}, tagged);
      guardian.register(group);
      guardian.tell('spare ab-3 000003');
      guardian.tell('spare another 000077');
      guardian.tell(`- ${group.pid}`);
      guardian.tell('spare $(touch) x;y');
      expect(await guardian.hangUp()).toBe(0);
      expect(guardian.errors).toEqual([]);
      expect(area.tree()).toEqual([]);
      expect([...spared, group].map(isAlive)).toEqual([...spared, group].map(() => true));
    });

    it('goes without a signal when it is disarmed', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell).ready();
      const group = area.canary();
      const carrier = area.canary(carrying(`${OWNER}.1`));
      guardian.register(group);
      guardian.tell('disarm');
      expect(await guardian.hangUp()).toBe(0);
      expect([group, carrier].map(isAlive)).toEqual([true, true]);
    });

    it('ends who ignores SIGTERM in the group of a leader that does not', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell).ready();
      const marker = Object.entries(area.env).map(([name, value]) => `'${name}=${value}'`);
      // No cookie, so that the group is all that leads to it; the leader is gone after SIGTERM.
      const script = `env -i ${marker.join(' ')} sh -c 'trap "" TERM; exec sleep 300' & wait`;
      const leader = started(area, {}, script);
      await eventually(() =>
        area.tree().some(({ pid, args }) => pid !== leader.pid && args[0] === 'sleep'),
      );
      guardian.register(leader);
      await guardian.hangUp();
      expect(area.tree()).toEqual([]);
    });

    it('lets nobody stay stopped: a polite signal is heard', async ({ area }) => {
      const times = { politeMs: 20_000, forcedMs: 20_000 };
      const guardian = await new FedGuardian(area, shell, { times }).ready();
      const group = started(area, {}, 'sleep 300 & exec sleep 300');
      const carrier = started(area, carrying(`${OWNER}.1`));
      await eventually(() => area.tree().filter(({ command }) => command === 'sleep').length === 3);
      for (const { pid } of area.tree()) process.kill(pid, 'SIGSTOP');
      guardian.register(group);
      const hungUpMs = performance.now();
      expect(await guardian.hangUp()).toBe(0);
      expect(performance.now() - hungUpMs).toBeLessThan(15_000);
      expect([group, carrier].filter(isAlive)).toEqual([]);
    });

    it('grants a grace that is longer than any shell can count, and no longer than it takes', async ({
      area,
    }) => {
      const times = { politeMs: 1_000_000_000, forcedMs: 1_000_000_000 };
      const guardian = await new FedGuardian(area, shell, { times }).ready();
      const group = started(area, {});
      guardian.register(group);
      expect(await guardian.hangUp()).toBe(0);
      expect(isAlive(group)).toBe(false);
    });
  });

  describe.runIf(CAN_CONTAIN).for(shells.filter(({ onlyPs }) => !onlyPs))(
    'the guardian under $name, with /proc',
    (shell) => {
      it.for(['we\nird', 'x) S 1 1 1\n', '\\ (a) (b', ' ) R 0 0 (', '\n\n'])(
        'knows a group by a leader whose name is %j',
        async (name, { area }) => {
          const guardian = await new FedGuardian(area, shell).ready();
          const marker = Object.entries(area.env).map(([key, value]) => `${key}=${value}`);
          // Nothing but the leader's name and number leads to the child.
          const script =
            '$0 = shift; exec "env", "-i", @ARGV, "sleep", "300" if !fork; sleep 300 while 1';
          const named = startedAs(area, {}, ['perl', '-e', script, name, ...marker]);
          await eventually(
            () =>
              readFileSync(`/proc/${named.pid}/comm`, 'latin1') === `${name}\n` &&
              area.tree().some(({ pid, args }) => pid !== named.pid && args[0] === 'sleep'),
          );
          guardian.register(named);
          expect(await guardian.hangUp()).toBe(0);
          expect(area.tree()).toEqual([]);
          // A new name may have taken the place of its environment.
          expect(isAlive(named)).toBe(false);
        },
      );
    },
  );
}

/** The zombie that this process has not asked for. */
function zombieChildOf(parent: number): { pid: number; startTime: string } | undefined {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8');
  for (const pid of children.trim().split(' ').filter(Boolean).map(Number)) {
    const fields = statFieldsOf(pid);
    if (fields[0] === 'Z') return { pid, startTime: fields[19] ?? '' };
  }
  return undefined;
}
