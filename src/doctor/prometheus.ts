import { COUNTERS, POOL_GAUGES } from '../inspect/metrics.ts';
import type { CheckStatus, DoctorReport, GuardianHealth, Quota } from '../inspect/report.ts';
import type { Tally } from './tally.ts';

export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const PREFIX = 'agent_supervisor_';
/** A label whose values others choose has so many; the rest are counted together. */
const MAX_LABEL_VALUES = 30;
const REST = 'other';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

const STATUSES: Readonly<Record<CheckStatus, number>> = { ok: 0, warn: 1, fail: 2 };
const GUARDIAN_STATES: readonly GuardianHealth['state'][] = [
  ...(['guarding', 'starting', 'stopped', 'missing', 'off', 'unneeded', 'closed'] as const),
];

/** Writes a report as Prometheus reads it: no session is a label, so that there are never too many. */
export function prometheusText(report: DoctorReport, tally: Tally): string {
  const metrics = new Metrics();
  addHost(metrics, report);
  addPool(metrics, report);
  addProcesses(metrics, report);
  addServices(metrics, report);
  addStateDir(metrics, report);
  addTally(metrics, tally);
  return metrics.text;
}

class Metrics {
  text = '';

  gauge(name: string, help: string, value: number | null | undefined | readonly Sample[]): void {
    this.#add('gauge', name, help, value);
  }

  counter(name: string, help: string, value: number | null | undefined | readonly Sample[]): void {
    this.#add('counter', name, help, value);
  }

  #add(
    type: 'gauge' | 'counter',
    name: string,
    help: string,
    value: number | null | undefined | readonly Sample[],
  ): void {
    const samples: readonly Sample[] =
      value === null || value === undefined
        ? []
        : typeof value === 'number'
          ? [[{}, value]]
          : value;
    if (samples.length === 0) return;
    const full = PREFIX + name;
    this.text += `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n`;
    for (const [labels, amount] of samples) this.text += `${full}${labelText(labels)} ${amount}\n`;
  }
}

function labelText(labels: Labels): string {
  const texts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return texts.length === 0 ? '' : `{${texts.join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/**
 * Adds up values by label, in the order of their first appearance. Labels beyond the limit are summed as
 * one more.
 */
function sums(label: string, items: Iterable<readonly [key: string, value: number]>): Sample[] {
  const totals = new Map<string, number>();
  for (const [key, value] of items) {
    const isKnown = totals.has(key) || totals.size < MAX_LABEL_VALUES;
    const at = isKnown ? key : REST;
    totals.set(at, (totals.get(at) ?? 0) + value);
  }
  return [...totals].map(([key, value]) => [{ [label]: key }, value]);
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

function addHost(metrics: Metrics, report: DoctorReport): void {
  const { host } = report;
  const { packageVersion, platform, arch, runtime, runtimeVersion } = host;
  metrics.gauge('info', 'What looks, always 1.', [
    [
      {
        ...{ version: packageVersion, platform, arch },
        ...{ runtime, runtime_version: runtimeVersion },
      },
      1,
    ],
  ]);
  metrics.gauge(
    'status',
    'The worst of the checks: 0 ok, 1 warn, 2 fail.',
    STATUSES[report.status],
  );
  metrics.gauge(
    'check_status',
    'One check: 0 ok, 1 warn, 2 fail.',
    report.checks.map(({ id, status }) => [{ check: id }, STATUSES[status]]),
  );
  metrics.gauge('report_duration_seconds', 'How long the look took.', seconds(report.tookMs));
  metrics.gauge('host_resident_memory_bytes', 'Memory of the host itself.', host.rssBytes);
  metrics.gauge('host_depth', 'How many supervisors the host is below.', host.depth);
  const quota = (name: string, what: string, amount: Quota | null): void => {
    metrics.gauge(name, `${what}.`, amount?.used);
    metrics.gauge(`${name}_limit`, `${what}, at most.`, amount?.limit);
  };
  quota('host_open_files', 'Open files of the host', host.openFiles);
  quota('host_tasks', "Processes and threads of the host's control group", host.tasks);
}

function addPool(metrics: Metrics, { supervisor }: DoctorReport): void {
  if (supervisor === null) return;
  const { pool, guardian } = supervisor;
  for (const { read, prometheus } of POOL_GAUGES)
    metrics.gauge(prometheus.name, prometheus.help, read(pool));
  metrics.gauge(
    'pool_waiting_for',
    'Requests that wait, by what they wait for.',
    sums(
      'cause',
      pool.queue.map(({ waitsFor }) => [waitsFor.cause, 1]),
    ),
  );
  metrics.gauge(
    'pool_key_held',
    'How many hold a key that is bounded.',
    sums(
      'key',
      pool.keys.filter(({ limit }) => limit !== null).map(({ key, running }) => [key, running]),
    ),
  );
  metrics.gauge('live_processes', 'Processes that count to the hard cap.', pool.live);
  if (Number.isFinite(pool.hardCap)) {
    metrics.gauge('live_processes_limit', 'The hard cap.', pool.hardCap);
  }
  metrics.gauge(
    'guardian_state',
    'Which of its states the guardian is in: 1 for that one.',
    GUARDIAN_STATES.map((state) => [{ state }, state === guardian.state ? 1 : 0]),
  );
  metrics.counter('spent_usd_total', 'What this host has charged.', supervisor.spentUsd);
}

function addProcesses(metrics: Metrics, { processes, sessions }: DoctorReport): void {
  const alive = processes.filter(({ identity }) => identity === 'alive');
  metrics.gauge(
    'processes',
    'Recorded processes of all owners, by whether they are still the recorded ones.',
    sums(
      'identity',
      processes.map(({ identity }) => [identity, 1]),
    ),
  );
  metrics.gauge(
    'processes_alive',
    'Supervised processes that are alive, by kind.',
    sums(
      'kind',
      alive.map(({ kind }) => [kind, 1]),
    ),
  );
  metrics.gauge(
    'descendants_alive',
    'What they have started and is alive, by their kind.',
    sums(
      'kind',
      processes.map(({ kind, descendants }) => [kind, descendants.length]),
    ),
  );
  metrics.gauge(
    'trees_resident_memory_bytes',
    'Memory of their whole trees, by kind; shared pages count once for each process.',
    sums(
      'kind',
      processes.flatMap(({ kind, rssBytes }) => (rssBytes === null ? [] : [[kind, rssBytes]])),
    ),
  );
  metrics.gauge(
    'trees_cpu_cores',
    'Cores that their whole trees use, by kind.',
    sums(
      'kind',
      processes.flatMap(({ kind, cpuPercent }) =>
        cpuPercent === null ? [] : [[kind, cpuPercent / 100]],
      ),
    ),
  );
  const live = sessions.filter((session) => session.live > 0);
  metrics.gauge('sessions_live', 'Sessions with a live process.', live.length);
  metrics.gauge(
    'sessions_live_expired',
    'Those of them that have lasted longer than they may.',
    live.filter(({ expired }) => expired).length,
  );
}

function addServices(metrics: Metrics, { services }: DoctorReport): void {
  const known = services.slice(0, MAX_LABEL_VALUES);
  metrics.gauge(
    'service_state',
    'The state that a service of this host is in, always 1.',
    known.flatMap(({ name, state }) => (state === null ? [] : [[{ service: name, state }, 1]])),
  );
  metrics.gauge(
    'service_failures',
    'Failures of a service in a row.',
    known.map(({ name, failures }) => [{ service: name }, failures]),
  );
  metrics.gauge(
    'service_breaker_open_seconds',
    "For how much longer a service's breaker is open; 0 is closed.",
    known.map(({ name, openForMs }) => [{ service: name }, openForMs / 1000]),
  );
}

function addStateDir(metrics: Metrics, { stateDir, owners }: DoctorReport): void {
  metrics.gauge('state_dir_bytes', 'What the state directory holds.', stateDir.bytes);
  metrics.gauge('state_dir_free_bytes', 'What its file system has left.', stateDir.freeBytes);
  metrics.gauge(
    'state_dir_files',
    'Files in the state directory, by kind.',
    sums(
      'kind',
      stateDir.files.map((group) => [group.kind, group.count]),
    ),
  );
  metrics.gauge(
    'state_dir_unsafe_files',
    'Files that others may have written, or may read.',
    stateDir.unsafe.length,
  );
  metrics.gauge(
    'owners',
    'Supervisors with a journal in the state directory, by what is known of them.',
    sums(
      'verdict',
      owners.map(({ verdict }) => [verdict, 1]),
    ),
  );
}

function addTally(metrics: Metrics, tally: Tally): void {
  for (const { prometheus } of COUNTERS) {
    if (prometheus === undefined) continue;
    const { name, help, by } = prometheus;
    const amounts = tally.get(name) ?? new Map<string, number>();
    metrics.counter(name, help, by === undefined ? amounts.get('') : sums(by.name, amounts));
  }
}
