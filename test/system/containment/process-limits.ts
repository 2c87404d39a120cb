// At a process limit, where nothing can be forked, the guardian works all the same: an ordinary user
// whom nobody else shares has so many processes, and bombs that take whatever becomes free.
import { spawnSync } from 'node:child_process';
import { describe, expect } from 'vitest';
import { type Area, CAN_CONTAIN, it } from '../../../kit/containment.ts';
import {
  carrying,
  FedGuardian,
  type FeedOptions,
  OWNER,
  type Shell,
  started,
  TAG,
} from '../../../kit/fed-guardian.ts';
import { endByIdentity, eventually, type ProcessRow } from '../../../kit/process-table.ts';

const MAX_PROCESSES = 40;
const TIMES = { politeMs: 400, forcedMs: 1500 };
/** What a slow shell may take for its looks on a busy machine, and until the dead are reaped. */
const LATE_MS = 10_000;

let users = 0;
/** Nobody else's: the limit counts all processes of a user. */
const nextUser = (): number => 100_000 + process.pid * 10 + users++;
/** Starts what follows as an ordinary user with so many processes. */
const asUser = (user: number): string[] => [
  ...['/usr/bin/setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'],
  ...['/usr/bin/prlimit', `--nproc=${MAX_PROCESSES}:${MAX_PROCESSES}`],
];
const CAN_LIMIT =
  CAN_CONTAIN &&
  spawnSync('perl', ['-e', '1']).status === 0 &&
  spawnSync('setpriv', ['--reuid=65534', '--clear-groups', 'true']).status === 0;
if (CAN_CONTAIN && !CAN_LIMIT)
  console.warn('left out: no root who could be another user, or no perl');

/** Forks children that wait until no more can be had, and again whenever one of them dies; ends after 30 s. */
const BOMB = `
use POSIX 'setsid';
my %is = map { $_ => 1 } @ARGV;
$SIG{CHLD} = 'IGNORE'; $SIG{TERM} = 'IGNORE' if $is{stubborn};
alarm 30; my $until = time + 30;
while (time < $until) {
  my $pid = fork;
  if (defined $pid && !$pid) { setsid if $is{apart}; alarm 30; sleep 30; exit }
  select undef, undef, undef, 0.002 unless defined $pid;
}`;

type Trick = 'stubborn' | 'apart';
interface Bomb {
  readonly tricks: readonly Trick[];
  readonly tag?: string;
  readonly cookie?: string;
  /** Whether the guardian was told of it. */
  readonly registered?: boolean;
}

/** Starts bombs and waits until they have used up the limit. */
async function explode(area: Area, user: number, bombs: readonly Bomb[]): Promise<ProcessRow[]> {
  const rows = bombs.map(({ tricks, tag, cookie }) => {
    const limits = tag === undefined ? [] : [`--locks=${tag}:${tag}`];
    return started(area, cookie === undefined ? {} : carrying(cookie), [
      ...[...asUser(user), ...limits, 'perl', '-e', BOMB, ...tricks],
    ]);
  });
  // The guardian has one of them.
  await eventually(() => area.tree().length >= MAX_PROCESSES - 1, {
    what: `the limit is used up: ${area.tree().length}`,
  });
  return rows;
}

async function bombed(
  area: Area,
  shell: Shell,
  bombs: readonly Bomb[],
  options: FeedOptions = {},
): Promise<number> {
  const user = nextUser();
  const through = asUser(user);
  const guardian = new FedGuardian(area, shell, { times: TIMES, tag: TAG, through, ...options });
  await guardian.ready();
  const rows = await explode(area, user, bombs);
  rows.forEach((row, at) => {
    if (bombs[at]?.registered !== false) guardian.register(row);
  });
  const beganMs = performance.now();
  await guardian.hangUp();
  return performance.now() - beganMs;
}

const ODD = `91${TAG}000001`;
const CASES: readonly (readonly [string, readonly Bomb[]])[] = [
  ['a group that dies politely', [{ tricks: [] }]],
  ['a group that does not', [{ tricks: ['stubborn'] }]],
  ['three groups', [{ tricks: ['stubborn'] }, { tricks: [] }, { tricks: ['stubborn'] }]],
  ['sessions, by their tags', [{ tricks: ['stubborn', 'apart'], tag: ODD }]],
  [
    'sessions that the guardian was never told of',
    [{ tricks: ['stubborn', 'apart'], tag: ODD, registered: false }],
  ],
  [
    'sessions, by their cookies, once there is a place',
    [{ tricks: ['apart'], cookie: `${OWNER}.1` }],
  ],
];

/** Tests the guardian at a process limit under each of these shells. */
export function describeLimitsUnder(shells: readonly Shell[]): void {
  describe.runIf(CAN_LIMIT).for(shells.filter(({ onlyPs }) => !onlyPs))(
    'the guardian under $name, where nothing can be forked,',
    (shell) => {
      it.for(CASES)('ends %s', async ([, bombs], { area }) => {
        const canary = area.canary();
        const tookMs = await bombed(area, shell, bombs);
        expect(area.tree()).toEqual([]);
        expect(tookMs).toBeLessThan(TIMES.politeMs + TIMES.forcedMs + LATE_MS);
        expect(canary.pid).toBeGreaterThan(1);
      });
    },
  );

  describe.runIf(CAN_LIMIT)('a guardian that can only fork', () => {
    it.for(shells.filter(({ name }) => name === 'dash' || name === 'busybox sh'))(
      'lets them live under $name (control)',
      async (shell, { area }) => {
        const bombs = [{ tricks: ['stubborn', 'apart'], tag: ODD, registered: false }] as const;
        const change = (script: string) => script.replace('|| look_by_builtins "$1"', '|| :');
        const times = { politeMs: 100, forcedMs: 100 };
        // Some seconds more are for a look that it never gets.
        await bombed(area, shell, bombs, { change, times });
        expect(area.tree().length).toBeGreaterThan(1);
        // One of them may fork until it is dead itself.
        await eventually(() => {
          const left = area.tree();
          endByIdentity(left);
          return left.length === 0;
        });
      },
    );
  });
}
