// Whom the guardian's script ends and spares by the number in a limit without effect, under every shell.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it } from '../../../kit/containment.ts';
import { carrying, FedGuardian, OWNER, PRESENT, started, TAG } from '../../../kit/fed-guardian.ts';
import { endByIdentity, eventually, isAlive, type ProcessRow } from '../../../kit/process-table.ts';

const CAN_TAG =
  CAN_CONTAIN && spawnSync('prlimit', [`--locks=91${TAG}000000`, '--', 'true']).status === 0;
if (CAN_CONTAIN && !CAN_TAG) console.warn('left out: no limits can be set by prlimit here');

const ODD = `91${TAG}000001`;
const EVEN = `90${TAG}000001`;
const OF_ANOTHER = '9199999999999000001';

/** Sleeps in a session of its own, as one that prlimit has started; what it shows of the test is the marker alone. */
async function tagged(
  area: Area,
  limits: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessRow> {
  const set = limits.map((limit) => `--${limit}`);
  const row = started(area, env, ['prlimit', ...set, '--', 'sleep', '300']);
  await eventually(() => readFileSync(`/proc/${row.pid}/comm`, 'latin1') === 'sleep\n');
  return row;
}

const OURS: readonly (readonly string[])[] = [
  [`locks=${ODD}:${ODD}`],
  [`rss=${ODD}:${ODD}`],
  [`rttime=${ODD}:${ODD}`],
  // A supervisor inside ours has taken the next limit; a program has lowered the soft value alone.
  [`locks=${ODD}:${ODD}`, `rss=${OF_ANOTHER}:${OF_ANOTHER}`],
  [`locks=${OF_ANOTHER}:${OF_ANOTHER}`, `rttime=33${TAG}999999:33${TAG}999999`],
  [`locks=5:${ODD}`],
  [`rss=4096:4096`, `locks=${ODD}:${ODD}`],
];
const NOT_OURS: readonly (readonly string[])[] = [
  [`locks=${EVEN}:${EVEN}`],
  [`locks=${ODD}:${ODD}`, `rss=${EVEN}:${EVEN}`],
  [`rttime=900000000000000000:900000000000000000`, `locks=${OF_ANOTHER}:${OF_ANOTHER}`],
  [`locks=${ODD}:unlimited`],
  [`rss=${OF_ANOTHER}:${OF_ANOTHER}`],
  // The number in the wrong place, too short, in a limit that has an effect.
  [`locks=1${TAG}0000011:1${TAG}0000011`],
  [`locks=91${TAG}00001:91${TAG}00001`],
  [`fsize=${ODD}:${ODD}`],
];
/** What lets a process be, although its tag is ours. */
const KEPT = [`${OWNER}.1.kept`, `${OWNER}.1/Inner.2.kept`, 'Inner.1.kept', 'Outer.1/Inner.2.kept'];

describe.runIf(CAN_TAG).for(PRESENT.filter(({ onlyPs }) => !onlyPs))(
  'the guardian under $name',
  (shell) => {
    it('ends who bears its owner’s tag, and nobody else', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell, { tag: TAG }).ready();
      const bearers = await Promise.all([
        ...OURS.map((limits) => tagged(area, limits)),
        // The cookie proves it, whatever the tag says.
        tagged(area, [`locks=${EVEN}:${EVEN}`], carrying(`${OWNER}.1`)),
        // It is not ours to judge what another owner's cookie says, nor one that is none.
        tagged(area, [`locks=${ODD}:${ODD}`], carrying('Another.1')),
        tagged(area, [`locks=${ODD}:${ODD}`], carrying('no cookie')),
        tagged(area, [`locks=${ODD}:${ODD}`], { NOTE: 'it is kept.kept' }),
      ]);
      const strangers = await Promise.all([
        ...NOT_OURS.map((limits) => tagged(area, limits)),
        ...KEPT.map((cookie) => tagged(area, [`locks=${ODD}:${ODD}`], carrying(cookie))),
        // Who quotes such a limit has none.
        tagged(area, [], {
          NOTE: `Max file locks            ${ODD}  ${ODD}  locks`,
          LINES: `a\nMax file locks            ${ODD}  ${ODD}  locks\nb`,
        }),
      ]);
      expect(await guardian.hangUp()).toBe(0);
      expect(bearers.filter(isAlive)).toEqual([]);
      expect(strangers.filter((row) => !isAlive(row))).toEqual([]);
      expect(guardian.errors.join('')).toBe('');
      endByIdentity(strangers);
    });

    it('without tags lets who bears one live (control)', async ({ area }) => {
      const guardian = await new FedGuardian(area, shell).ready();
      const bearer = await tagged(area, [`locks=${ODD}:${ODD}`]);
      expect(await guardian.hangUp()).toBe(0);
      expect(isAlive(bearer)).toBe(true);
      endByIdentity([bearer]);
    });

    it('takes a tag in a registration, and looks without grep where there is none', async ({
      area,
    }) => {
      const guardian = await new FedGuardian(area, shell, { tag: TAG, path: '/none' }).ready();
      const group = started(area, {}, ['sh', '-c', 'sleep 300 & exec sleep 300']);
      const bearer = await tagged(area, [`rss=${ODD}:${ODD}`]);
      const kept = await tagged(area, [`locks=${ODD}:${ODD}`], carrying(`${OWNER}.1.kept`));
      const canary = area.canary();
      guardian.tell(`+ ${group.pid} ${group.startTime} ${ODD}`);
      expect(await guardian.hangUp()).toBe(0);
      expect([group, bearer].filter(isAlive)).toEqual([]);
      expect(area.tree().map(({ pid }) => pid)).toEqual([kept.pid]);
      expect(isAlive(canary)).toBe(true);
      endByIdentity([kept]);
    });
  },
);
