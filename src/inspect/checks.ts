import { leftByDeadHosts } from './left-behind.ts';
import type { Check, CheckStatus, DoctorReport, PoolHealth, Quota } from './report.ts';
import { waitText } from './wait-text.ts';

/** Input of the checks: the report so far, and facts that it does not show. */
export interface Findings extends Omit<DoctorReport, 'checks' | 'status' | 'version' | 'tookMs'> {
  /** This host is pid 1. */
  readonly isInit: boolean;
  /** Dead children of this host that are not reaped yet. */
  readonly zombies: number;
  /** Wall clock minus monotonic clock since the start; `null` from outside the host. */
  readonly clockJumpMs: number | null;
  /** Files of dead processes, which the next sweep removes. */
  readonly stale: readonly string[];
  /** Reasons why files could not be judged. */
  readonly unproven: readonly string[];
  /** Processes that are still alive after their end was tried. */
  readonly survivors: readonly string[];
}

type Verdict = Omit<Check, 'id'>;

const MIN_FREE_BYTES = 64 * 1024 * 1024;
const LONG_WAIT_MS = 60_000;
const CLOCK_JUMP_MS = 5000;
/** Most names in one sentence; the report has them all. */
const MAX_NAMED = 3;

/** The checks, in the order of the report. A check returns `undefined` where it does not apply. */
const CHECKS: Readonly<Record<string, (findings: Findings) => Verdict | undefined>> = {
  guardian: ({ supervisor }) => {
    switch (supervisor?.guardian.state) {
      case undefined:
        return undefined;
      case 'missing':
        return fail(
          'The guardian could not be started: if this host is killed, its processes live on.',
          'Look for the GUARDIAN warning, which says why; /bin/sh or the runtime must be startable.',
        );
      case 'stopped':
        return fail(
          'The guardian is stopped: if this host is killed, its processes live on.',
          `Send it SIGCONT: kill -CONT ${supervisor?.guardian.pid}.`,
        );
      case 'off':
        return warn(
          'The guardian is switched off: if this host is killed, its processes live until the next host starts.',
          'Leave the option "guardian" at true.',
        );
      default:
        return ok('If this host is killed, its processes are ended.');
    }
  },
  'rlimit-tag': ({ supervisor, host }) => {
    const tag = supervisor?.rlimitTag ?? null;
    if (tag === null || host.platform !== 'linux') return undefined;
    return tag.limit === 'off'
      ? warn(
          `Processes that clear or hide their environment are not found: ${tag.reason}.`,
          'Leave the option "rlimitTag" at true, and install prlimit (util-linux).',
        )
      : ok(`Processes that lose their environment are found by a resource limit (${tag.limit}).`);
  },
  init: ({ supervisor, isInit, zombies }) => {
    if (supervisor === null) return undefined;
    if (!isInit) return ok('Orphans are reaped by the init process.');
    return warn(
      `This host is pid 1, and nobody reaps the orphans that it inherits (${zombies} zombies now).`,
      'Run it under an init: docker run --init, tini or dumb-init.',
    );
  },
  survivors: ({ supervisor, survivors }) => {
    if (supervisor === null) return undefined;
    return survivors.length === 0
      ? ok('Everything that was to be ended is dead.')
      : fail(
          `${some(survivors, 'process', 'processes')} could not be ended, and hold their slots.`,
          'They are tried again at every sweep; one in state D waits for a disk or a network file system.',
        );
  },
  orphans: ({ owners, processes }) => {
    const { names, alive } = leftByDeadHosts(owners, processes);
    if (names.length === 0) return ok('No dead host has left anything.');
    return warn(
      `${some(names, 'host is', 'hosts are')} dead and not cleaned up yet; ${alive} of their processes are alive.`,
      'The next start or sweep ends them; "agent-supervisor recover" does it now.',
    );
  },
  foreign: ({ unproven, owners }) => {
    const others = owners.filter(
      ({ verdict }) => verdict === 'elsewhere' || verdict === 'unproven',
    );
    const all = [...unproven, ...others.map(({ instance }) => `host ${instance}`)];
    if (all.length === 0) return ok('Every journal can be read and judged from here.');
    return warn(
      `${some(all, 'journal or file', 'journals or files')} cannot be judged from here, and are left alone.`,
      'A host elsewhere that is gone is given up after a minute without a heartbeat; one that cannot show any, of an older version, is forgotten by "agent-supervisor recover --forget <host>". Remove files that no host needs any more.',
    );
  },
  'state-dir': ({ stateDir }) => {
    const { exists, unsafe, freeBytes, mode } = stateDir;
    if (!exists) return ok('There is no state directory yet: nothing was started with it so far.');
    if (mode !== null && (Number.parseInt(mode, 8) & 0o022) !== 0)
      return fail(
        `Others can write the state directory (mode ${mode}), so nothing in it can be trusted.`,
        'Make it private: chmod 700.',
      );
    if (unsafe.length > 0)
      return fail(
        `Others may have written or may read ${some(
          unsafe.map(({ file }) => file),
          'file',
          'files',
        )} in the state directory.`,
        'Find out who made them, and remove them or make them private: chmod 600.',
      );
    if (freeBytes !== null && freeBytes < MIN_FREE_BYTES)
      return warn(
        `The disk of the state directory has ${Math.floor(freeBytes / 1024 / 1024)} MiB left; when it is full, the registry goes on in memory only.`,
        'Free some space on it.',
      );
    return ok('The state directory is private, and its disk has room.');
  },
  'stale-files': ({ stale, stateDir }) => {
    const torn = stateDir.files.find(({ kind }) => kind === 'half-written')?.count ?? 0;
    if (stale.length === 0 && torn < 3)
      return ok('The state directory has no files of dead processes.');
    return warn(
      `${stale.length} files of dead processes and ${torn} half-written ones are in the state directory.`,
      'The next start or sweep removes what is proven; "agent-supervisor recover" does it now.',
    );
  },
  identity: ({ processes }) => {
    const unproven = processes.filter(({ identity }) => identity === 'unproven');
    if (unproven.length === 0) return ok('Every recorded process can be identified.');
    return warn(
      `${some(
        unproven.map(({ id }) => id),
        'process',
        'processes',
      )} cannot be told from a later one with the same pid, and will not be signalled by others.`,
      'They are ended with their host; look for the REGISTRY warning, which says why.',
    );
  },
  zombies: ({ supervisor, zombies, isInit }) => {
    if (supervisor === null) return undefined;
    return isInit || zombies === 0
      ? ok('No dead child waits to be reaped.')
      : warn(
          `${zombies} dead children of this host are not reaped yet.`,
          'A few are normal for a moment; if they stay, the event loop is blocked.',
        );
  },
  pool: ({ supervisor }) => {
    if (supervisor === null) return undefined;
    const { waiting, oldestWaitMs, running, concurrency, live, hardCap, paused } = supervisor.pool;
    if (paused !== null)
      return warn(
        `The pool is paused (${paused.reason}), and ${waiting} requests wait.`,
        paused.until === null
          ? 'Call supervisor.pool.resume() when it may go on.'
          : `It goes on by itself at ${new Date(paused.until).toISOString()}, or at supervisor.pool.resume().`,
      );
    if (live >= hardCap)
      return warn(
        `${live} processes are alive, all that pool.hardCap allows: nothing more is started.`,
        'End some, or raise pool.hardCap.',
      );
    if (oldestWaitMs !== null && oldestWaitMs > LONG_WAIT_MS)
      return warn(
        `${waiting} requests wait, the oldest for ${seconds(oldestWaitMs)}${oldestWaitsFor(supervisor.pool)}; ${running} of ${concurrency} slots are held.`,
        'End what holds them up, limit how long it may run (limits, session.maxWallClockMs), or raise pool.concurrency, pool.perKey or pool.startingPerKind.',
      );
    return ok(`${running} of ${concurrency} slots are held, and ${waiting} requests wait.`);
  },
  'machine-slots': ({ machineSlots }) => {
    const shared = machineSlots.find(({ kind }) => kind === null);
    if (shared === undefined) return undefined;
    const { limit, held, hosts } = shared;
    const limits = [...new Set(hosts.map((host) => host.limit))].sort((a, b) => a - b);
    if (limits.length > 1)
      return warn(
        `Hosts name different numbers of slots for this machine (${limits.join(', ')}): the smallest holds.`,
        'Give all hosts the same pool.machineConcurrency.',
      );
    const waits = hosts.flatMap(({ waiting }) => waiting.map(({ waitedMs }) => waitedMs));
    const holders = hosts.filter((host) => host.held > 0).map(({ pid }) => `pid ${pid}`);
    if (Math.max(0, ...waits) > LONG_WAIT_MS)
      return warn(
        `${waits.length} requests wait for a slot of this machine, the oldest for ${seconds(Math.max(...waits))}; ${held} of ${limit} are held, by ${some(holders, 'host', 'hosts')}.`,
        'End what holds the slots, limit how long it may run, or raise pool.machineConcurrency of all hosts.',
      );
    return ok(
      `${held} of ${limit} slots of this machine are held, and ${waits.length} requests wait.`,
    );
  },
  sessions: ({ sessions }) => {
    const late = sessions.filter(({ expired, live }) => expired && live > 0);
    if (late.length === 0) return ok('No session has outlasted its wall clock.');
    return warn(
      `${some(
        late.map(({ id }) => id),
        'session has',
        'sessions have',
      )} lasted longer than allowed, and still run.`,
      'Reap them, or leave session.onExpire at "terminate".',
    );
  },
  services: ({ services }) => {
    const open = services.filter(({ openForMs }) => openForMs > 0);
    if (open.length === 0) return ok('No service is held back by its breaker.');
    return warn(
      `${some(
        open.map(({ name }) => name),
        'service has',
        'services have',
      )} failed too often, and nothing is started for up to ${seconds(Math.max(...open.map(({ openForMs }) => openForMs)))}.`,
      'Look at the last error of its start; the breaker half-opens by itself.',
    );
  },
  clock: ({ clockJumpMs, owners, at }) => {
    const ahead = owners.some(({ openedAt }) => openedAt > at + CLOCK_JUMP_MS);
    if (!ahead && Math.abs(clockJumpMs ?? 0) < CLOCK_JUMP_MS)
      return ok('The wall clock has not jumped.');
    return warn(
      ahead
        ? 'A journal was opened in the future: the wall clock was set back.'
        : `The wall clock has jumped by ${seconds(clockJumpMs ?? 0)} since this host started: it was set, or the machine slept.`,
      'Durations and limits are not affected; stamps in the history are.',
    );
  },
  'open-files': ({ host }) =>
    quota(
      host.openFiles,
      'files are open',
      'Raise the limit (ulimit -n), or look for what leaks them.',
    ),
  tasks: ({ host }) =>
    quota(
      host.tasks,
      'processes and threads run in this control group',
      'Raise the limit of the container (--pids-limit), or end some.',
    ),
  depth: ({ host }) => {
    const { depth, maxDepth } = host;
    if (maxDepth === null || depth < maxDepth)
      return ok(`This host is below ${depth} other supervisors.`);
    return fail(
      `This host is below ${depth} other supervisors, and maxDepth is ${maxDepth}: it starts nothing.`,
      'Look for agents that start hosts in an endless chain, or raise maxDepth if the nesting is intended.',
    );
  },
  environment: ({ environment }) => {
    const { missing, markers, dropped, logins } = environment;
    if (missing.length > 0)
      return warn(
        `The environment has no ${missing.join(' and no ')}, which most programs need.`,
        'Set it where the host is started.',
      );
    const nested =
      markers.length > 0
        ? 'This host was started by an agent'
        : 'This host was not started by an agent';
    const kept =
      dropped.length > 0
        ? `; ${dropped.join(', ')} ${dropped.length > 1 ? 'are' : 'is'} not passed on to its processes`
        : '';
    const login =
      logins.length > 0 ? `logins are visible: ${logins.join(', ')}` : 'no login is visible';
    return ok(`${nested}${kept}; ${login}.`);
  },
};

/** Runs all checks; the status is the worst of theirs. */
export function judge(findings: Findings): { checks: Check[]; status: CheckStatus } {
  const checks = Object.entries(CHECKS).flatMap(([id, check]) => {
    const verdict = check(findings);
    return verdict === undefined ? [] : [{ id, ...verdict }];
  });
  const worst = (['fail', 'warn'] as const).find((status) =>
    checks.some((check) => check.status === status),
  );
  return { checks, status: worst ?? 'ok' };
}

function ok(summary: string): Verdict {
  return { status: 'ok', summary, advice: null };
}

function warn(summary: string, advice: string): Verdict {
  return { status: 'warn', summary, advice };
}

function fail(summary: string, advice: string): Verdict {
  return { status: 'fail', summary, advice };
}

function quota(of: Quota | null, what: string, advice: string): Verdict | undefined {
  if (of === null) return undefined;
  const { used, limit } = of;
  if (limit === null) return ok(`${used} ${what}, without a limit.`);
  const summary = `${used} of ${limit} ${what}.`;
  if (used > 0.95 * limit) return fail(summary, advice);
  return used > 0.8 * limit ? warn(summary, advice) : ok(summary);
}

/** Formats as `3 hosts (a, b, …)`. */
function some(names: readonly string[], one: string, many: string): string {
  const named = names.slice(0, MAX_NAMED).join(', ');
  const more = names.length > MAX_NAMED ? ', …' : '';
  return `${names.length} ${names.length === 1 ? one : many} (${named}${more})`;
}

/** Names the bound for which the oldest request waits, as the end of a clause. */
function oldestWaitsFor({ queue }: PoolHealth): string {
  const [oldest] = queue.toSorted((a, b) => b.waitedMs - a.waitedMs);
  return oldest === undefined ? '' : `, for ${waitText(oldest.waitsFor)}`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
