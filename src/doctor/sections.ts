import type {
  Check,
  DoctorReport,
  EndNote,
  EnvironmentHealth,
  MachineHostHealth,
  MachineWait,
  OwnerHealth,
  Quota,
  ServiceHealth,
  WaitingRequest,
} from '../inspect/report.ts';
import { waitText } from '../inspect/wait-text.ts';
import { count, showBytes, showDuration, showUsd } from './format.ts';
import { type Html, type HtmlPart, html } from './html.ts';
import { badge, type Column, empty, gauge, section, table } from './parts.ts';

const NOT_KNOWN = html`<span class="unknown">–</span>`;

export const orUnknown = <T>(value: T | null, show: (value: T) => HtmlPart): HtmlPart =>
  value === null ? NOT_KNOWN : show(value);

export function timeAgo(at: number, now: number): Html {
  const stamp = new Date(at).toISOString();
  return html`<time datetime="${stamp}" title="${stamp}">${now - at < 1000 ? 'now' : `${showDuration(now - at)} ago`}</time>`;
}

const BANNERS = {
  ok: 'All checks are fine.',
  warn: 'Something needs attention.',
  fail: 'Something is broken.',
} as const;

/** The checks: those that need attention are open, the others folded away. */
export function checks({ status, checks }: DoctorReport): Html {
  const rank = { fail: 0, warn: 1, ok: 2 };
  const bad = checks.filter((check) => check.status !== 'ok');
  const fine = checks.filter((check) => check.status === 'ok');
  const list = (of: readonly Check[]) =>
    html`<ul class="checks">${of.map(
      ({ id, status, summary, advice }) =>
        html`<li data-key="${id}">${badge(status)} <strong>${id}</strong> ${summary}${
          advice !== null && html` <span class="advice">${advice}</span>`
        }</li>`,
    )}</ul>`;
  return html`<section id="checks" class="banner" data-is="${status}" aria-labelledby="checks-title">
<h2 id="checks-title">${badge(status)} ${BANNERS[status]}</h2>
${bad.length > 0 && list(bad.toSorted((a, b) => rank[a.status] - rank[b.status]))}
<details id="fine"><summary>${count(fine.length, 'check')} without a finding</summary>${list(fine)}</details>
</section>`;
}

/** The totals, each in a tile. */
export function figures({ supervisor, host, processes }: DoctorReport): Html {
  const total = (of: 'rssBytes' | 'cpuPercent') =>
    processes.reduce((sum, one) => sum + (one[of] ?? 0), 0);
  const descendants = processes.reduce((sum, one) => sum + one.descendants.length, 0);
  const quota = (title: string, amount: Quota | null) =>
    amount !== null &&
    tile(
      title,
      amount.used,
      amount.limit !== null && gauge(title, amount.used, amount.limit, true),
      amount.limit !== null && html`of ${amount.limit}`,
    );
  return html`<dl class="figures" id="figures">
${
  supervisor !== null && [
    tile(
      'Slots held',
      supervisor.pool.running,
      gauge('Slots held', supervisor.pool.running, supervisor.pool.concurrency),
      html`of ${supervisor.pool.concurrency}, ${supervisor.pool.waiting} waiting${supervisor.pool.paused !== null && ', paused'}`,
    ),
    tile(
      'Live processes',
      supervisor.pool.live,
      gauge('Live processes', supervisor.pool.live, supervisor.pool.hardCap, true),
      html`of ${supervisor.pool.hardCap}, with ${count(descendants, 'descendant')}`,
    ),
    tile(
      'Guardian',
      badge(supervisor.guardian.state),
      null,
      supervisor.guardian.pid !== null && html`pid ${supervisor.guardian.pid}`,
    ),
  ]
}
${tile('Memory of the trees', showBytes(total('rssBytes')), null, html`host ${showBytes(host.rssBytes)}`)}
${tile('CPU of the trees', `${Math.round(total('cpuPercent'))} %`, null, 'of one core')}
${supervisor !== null && tile('Spent', showUsd(supervisor.spentUsd), null, 'by this host')}
${quota('Open files', host.openFiles)}
${quota('Tasks of the container', host.tasks)}
</dl>`;
}

function tile(title: string, value: HtmlPart, bar: HtmlPart, note: HtmlPart): Html {
  return html`<div><dt>${title}</dt><dd><span class="value">${value}</span> ${bar} <span class="note">${note}</span></dd></div>
`;
}

/** The waiting requests. */
export function queue({ supervisor }: DoctorReport): Html | null {
  if (supervisor === null || supervisor.pool.queue.length === 0) return null;
  const columns: Column<WaitingRequest & { at: number }>[] = [
    { label: 'Place', show: ({ at }) => at },
    { label: 'Session', show: ({ sessionId }) => orUnknown(sessionId, (id) => id) },
    { label: 'Kind', show: ({ kind }) => kind ?? 'lease' },
    { label: 'Keys', show: ({ keys }) => keys.join(', ') },
    { label: 'Waits', show: ({ waitsFor }) => `for ${waitText(waitsFor)}` },
    { label: 'Priority', is: 'number', show: ({ priority }) => priority },
    { label: 'Since', is: 'number', show: ({ waitedMs }) => showDuration(waitedMs) },
  ];
  const items = supervisor.pool.queue.map((request, index) => ({ ...request, at: index + 1 }));
  return section(
    'queue',
    'Waiting',
    table('Requests that wait, the next one first', columns, items, ({ at }) => String(at)),
  );
}

const REASONS: Readonly<Record<MachineWait['why'], string>> = {
  'slots-held': 'all slots are held',
  'others-first': 'others have waited longer',
  'host-silent': 'its host does not answer',
  'host-dead': 'its host is dead',
};

/** The slots that the hosts of this machine share. */
export function machineSlots({ machineSlots }: DoctorReport): Html | null {
  const [shared] = machineSlots.filter(({ kind }) => kind === null);
  if (shared === undefined) return null;
  const columns: Column<MachineHostHealth>[] = [
    {
      label: 'Host',
      show: ({ pid, machine }) => [html`<span class="pid">${pid}</span>`, ` on ${machine}`],
    },
    { label: 'Is', show: ({ verdict }) => badge(verdict) },
    { label: 'Names', is: 'number', show: ({ limit }) => limit },
    { label: 'Holds', is: 'number', show: ({ held }) => held },
    { label: 'By', show: ({ holders }) => holders.join(', ') },
    {
      label: 'Waits',
      show: ({ waiting }) =>
        waiting.map(
          ({ sessionId, waitedMs, why }) =>
            html`<div>${orUnknown(sessionId, (id) => id)} for ${showDuration(waitedMs)}: ${REASONS[why]}</div>`,
        ),
    },
  ];
  return section(
    'machine-slots',
    `Slots of this machine: ${shared.held} of ${shared.limit} held`,
    table(
      'Hosts that share the slots of this machine',
      columns,
      shared.hosts,
      ({ instance }) => instance,
    ),
  );
}

/** The services of this host and those that other hosts have recorded. */
export function services({ services }: DoctorReport): Html | null {
  if (services.length === 0) return null;
  const columns: Column<ServiceHealth>[] = [
    { label: 'Service', show: ({ name }) => name },
    { label: 'State', show: ({ state }) => orUnknown(state, badge) },
    { label: 'Pid', is: 'number', show: ({ pid }) => orUnknown(pid, String) },
    { label: 'Failures in a row', is: 'number', show: ({ failures }) => failures },
    {
      label: 'Breaker',
      show: ({ openForMs }) => (openForMs > 0 ? `open for ${showDuration(openForMs)}` : 'closed'),
    },
  ];
  return section(
    'services',
    'Services',
    table('Services and their breakers', columns, services, ({ name }) => name),
  );
}

/** The last ends of processes, newest first. */
export function ends({ ends, at }: DoctorReport): Html {
  const columns: Column<EndNote>[] = [
    { label: 'When', show: (end) => timeAgo(end.at, at) },
    {
      label: 'Cause',
      show: ({ cause, forced }) => [badge(cause ?? 'not seen'), forced && ' by force'],
    },
    {
      label: 'Process',
      show: ({ command, pid }) => [command, pid !== null && html` <span class="pid">${pid}</span>`],
    },
    { label: 'Kind', show: ({ kind }) => kind },
    { label: 'Session', show: ({ sessionId }) => orUnknown(sessionId, (id) => id) },
    {
      label: 'Exit',
      show: ({ code, signal }) => signal ?? orUnknown(code, (value) => `code ${value}`),
    },
    { label: 'Lasted', is: 'number', show: ({ durationMs }) => showDuration(durationMs) },
  ];
  // The table is there even when empty: live.js adds a row at once when a process exits.
  return section(
    'ends',
    'Ends',
    ends.length === 0 && empty('Nothing has ended yet.'),
    table('The last ends and their causes, newest first', columns, ends, ({ id }) => id),
  );
}

/** The state directory, with its files and its free space. */
export function stateDir({ stateDir }: DoctorReport): Html {
  const { path, exists, mode, ownerUid, files, bytes, freeBytes, unsafe } = stateDir;
  return section(
    'state-dir',
    'State directory',
    html`<dl class="facts">
<div><dt>Folder</dt><dd><code>${path}</code>${!exists && ' (not there yet)'}</dd></div>
<div><dt>Mode</dt><dd>${orUnknown(mode, (text) => html`<code>${text}</code>`)}${ownerUid !== null && `, of user ${ownerUid}`}</dd></div>
<div><dt>Holds</dt><dd>${showBytes(bytes)}${freeBytes !== null && `, ${showBytes(freeBytes)} are free`}</dd></div>
<div><dt>Files</dt><dd>${files.length === 0 ? 'none' : files.map(({ kind, count }) => `${kind} ${count}`).join(', ')}</dd></div>
</dl>
${unsafe.length > 0 && html`<ul class="unsafe">${unsafe.map(({ file, why }) => html`<li><code>${file}</code> ${why}</li>`)}</ul>`}`,
  );
}

/** The supervisors of the state directory. */
export function owners({ owners, at }: DoctorReport): Html {
  const columns: Column<OwnerHealth>[] = [
    {
      label: 'Host',
      show: ({ pid, machine }) => [html`<span class="pid">${pid}</span>`, ` on ${machine}`],
    },
    { label: 'Is', show: ({ verdict }) => badge(verdict) },
    { label: 'Since', show: ({ openedAt }) => timeAgo(openedAt, at) },
    { label: 'Processes', is: 'number', show: ({ processes }) => processes },
  ];
  return section(
    'owners',
    'Hosts',
    owners.length === 0
      ? empty('No supervisor has a journal here.')
      : table('Supervisors of the state directory', columns, owners, ({ instance }) => instance),
  );
}

const ENVIRONMENT: readonly (readonly [
  title: string,
  names: Exclude<keyof EnvironmentHealth, 'nested'>,
])[] = [
  ['Marks of an outer agent', 'markers'],
  ['Not inherited by a child', 'dropped'],
  ['Needed, and not there', 'missing'],
  ['Proxies', 'proxy'],
  ['Logins of an agent', 'logins'],
];

/** The environment: names of variables, never a value. */
export function environment({ environment }: DoctorReport): Html {
  return section(
    'environment',
    'Environment',
    html`<p>${environment.nested ? 'This host was started by an agent.' : 'This host was not started by an agent.'} Names only; no value is ever shown.</p>
<dl class="facts">${ENVIRONMENT.map(
      ([title, of]) => html`<div><dt>${title}</dt><dd>${
        environment[of].length === 0
          ? 'none'
          : environment[of].map((name) => html`<code>${name}</code> `)
      }</dd></div>
`,
    )}</dl>`,
  );
}
