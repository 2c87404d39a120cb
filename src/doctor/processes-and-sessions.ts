import type { DoctorReport, ProcessHealth, SessionHealth } from '../inspect/report.ts';
import { actionForm, endAction, reapAction } from './actions.ts';
import { count, showBytes, showDuration, showUsd } from './format.ts';
import { type Html, type HtmlPart, html } from './html.ts';
import { badge, type Column, empty, gauge, type PageContext, section, table } from './parts.ts';
import { orUnknown, timeAgo } from './sections.ts';

/** Only a process of this host has a state, and only this host may end it. */
const isOwn = ({ state, disowned }: ProcessHealth): boolean => state !== null && !disowned;

/** Every recorded process with its descendants. */
export function processes(report: DoctorReport, context: PageContext): Html {
  const { processes, at, host } = report;
  const title = 'Processes';
  if (processes.length === 0) return section('processes', title, empty('No process runs.'));
  const mostBytes = Math.max(1, ...processes.map(({ rssBytes }) => rssBytes ?? 0));
  const columns: Column<ProcessHealth>[] = [
    { label: 'Process', show: tree },
    { label: 'Kind', show: ({ kind }) => kind },
    { label: 'Session', show: ({ sessionId }) => orUnknown(sessionId, (id) => id) },
    { label: 'State', show: stateOf },
    {
      label: 'Memory',
      is: 'number',
      show: ({ rssBytes }) =>
        orUnknown(rssBytes, (bytes) => [
          showBytes(bytes),
          ' ',
          gauge('Memory', bytes, mostBytes * 1.25),
        ]),
    },
    {
      label: 'CPU',
      is: 'number',
      show: ({ cpuPercent }) => orUnknown(cpuPercent, (percent) => `${Math.round(percent)} %`),
    },
    { label: 'Started', is: 'number', show: ({ startedAt }) => timeAgo(startedAt, at) },
    { label: 'Time left', is: 'number', show: timeLeft },
    {
      label: 'Action',
      is: 'action',
      show: (process) => isOwn(process) && actionForm(endAction(process), context),
    },
  ];
  const caption = `What this host (pid ${host.pid}) and its neighbours have started, oldest first`;
  return section(
    'processes',
    title,
    table(caption, columns, processes, ({ id }) => id),
  );
}

function tree({ command, pid, descendants }: ProcessHealth): HtmlPart {
  return html`<strong>${command}</strong> <span class="pid">${pid}</span>${branches(pid, descendants, pid)}`;
}

/** The children of `parent` with their own children. Below the root, also those whose parent is dead. */
function branches(parent: number, all: ProcessHealth['descendants'], root: number): HtmlPart {
  const isOrphan = ({ ppid }: { ppid: number }) =>
    parent === root && ppid !== root && !all.some(({ pid }) => pid === ppid);
  const children = all.filter(
    (one) => one.pid !== parent && (one.ppid === parent || isOrphan(one)),
  );
  if (children.length === 0) return null;
  return html`<ul class="tree">${children.map(
    (child) =>
      html`<li data-key="${child.pid}">${child.command} <span class="pid">${child.pid}</span>${isOrphan(child) && html` <span class="note">left its parent</span>`}${branches(child.pid, all, root)}</li>`,
  )}</ul>`;
}

function stateOf(process: ProcessHealth): HtmlPart {
  const { state, identity, holdsSlot, keys, outlivesHost, disowned, cleanup } = process;
  const notes = [
    holdsSlot === true && 'slot',
    ...keys,
    outlivesHost && !disowned && 'outlives its host',
    cleanup !== null && `cleanup: ${cleanup}`,
  ].filter(Boolean);
  const word = identity === 'alive' ? (state ?? "another host's") : identity;
  return [badge(word), notes.length > 0 && html` <span class="note">${notes.join(', ')}</span>`];
}

function timeLeft({ lifetimeLeftMs, sessionLeftMs }: ProcessHealth): HtmlPart {
  const left = Math.min(lifetimeLeftMs ?? Infinity, sessionLeftMs ?? Infinity);
  return orUnknown(left === Infinity ? null : left, (ms) => (ms > 0 ? showDuration(ms) : 'over'));
}

/** The sessions, with their time limits and costs. */
export function sessions(report: DoctorReport, context: PageContext): Html {
  const { sessions, at } = report;
  const title = 'Sessions';
  if (sessions.length === 0) return section('sessions', title, empty('No session is known.'));
  const reapable = new Set([
    ...report.processes.filter(isOwn).map(({ sessionId }) => sessionId),
    ...(report.supervisor?.pool.queue.map(({ sessionId }) => sessionId) ?? []),
  ]);
  const columns: Column<SessionHealth>[] = [
    { label: 'Session', show: ({ id }) => id },
    { label: 'Live', is: 'number', show: ({ live, started }) => `${live} of ${started}` },
    { label: 'Age', is: 'number', show: ({ ageMs }) => showDuration(ageMs) },
    { label: 'Time left', show: clock },
    {
      label: 'Last end',
      show: ({ lastEnd }) =>
        orUnknown(lastEnd, (end) => [badge(end.cause), ' ', timeAgo(end.at, at)]),
    },
    {
      label: 'Spent',
      is: 'number',
      show: ({ spentUsd, spentTokens }) =>
        spentUsd + spentTokens > 0
          ? `${showUsd(spentUsd)}, ${count(spentTokens, 'token')}`
          : orUnknown(null, String),
    },
    {
      label: 'Action',
      is: 'action',
      show: ({ id }) => reapable.has(id) && actionForm(reapAction(id), context),
    },
  ];
  return section(
    'sessions',
    title,
    table('Sessions, their clocks and what they have spent', columns, sessions, ({ id }) => id),
  );
}

function clock({ ageMs, maxWallClockMs, leftMs, expired }: SessionHealth): HtmlPart {
  if (expired) return badge('expired');
  if (maxWallClockMs === null || leftMs === null) return 'no end';
  return [showDuration(leftMs), ' ', gauge('Time used', ageMs, maxWallClockMs)];
}
