import type { SurveyedOwner } from '../inspect/survey.ts';
import type { Command } from './command.ts';
import {
  type Exempt,
  endTargets,
  type Field,
  findTargets,
  leftAlone,
  type Selection,
} from './endings.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { findRegistry } from './registry.ts';

/** Least length of an abbreviated id, since a shorter one would match too many. */
const MIN_PREFIX = 4;

export const run: Command = async (args, terminal) => {
  const [name] = args.positionals;
  if (name === undefined)
    throw new Refusal('stop takes one host or one process id. "agent-supervisor ps" shows them.');
  const field = await findTargets(findRegistry(args));
  return endTargets(choose(name, field), field.context, args, terminal);
};

function choose(name: string, { owners, targets, exempt }: Field): Selection {
  const hosts = owners.filter((owner) => namesOwner(name, owner));
  const processes = [...targets, ...exempt].filter(
    ({ record }) => names(name, record.id) || name === String(record.pid),
  );
  const exact = processes.filter(({ record }) => record.id === name);
  const found = exact.length > 0 ? exact : processes;
  if (hosts.length + found.length > 1) throw ambiguous(name, hosts, found);
  const [one] = found;
  if (one !== undefined && 'reason' in one) throw leftAlone(one);
  if (one !== undefined) {
    const { id, pid, command } = one.record;
    const what = `${plain(command)} (pid ${pid}, ${id})`;
    return { what, targets: [one], exempt: [], cause: 'terminated' };
  }
  const [host] = hosts;
  if (host === undefined)
    throw new Refusal(
      `No host and no live process is named "${name}". "agent-supervisor ps" shows them.`,
    );
  return allOf(host, targets, exempt);
}

function allOf(
  { owner }: SurveyedOwner,
  targets: Field['targets'],
  exempt: Field['exempt'],
): Selection {
  const host = `host ${owner.instance.slice(0, 8)} (pid ${owner.pid})`;
  const own = targets.filter((target) => target.owner === owner.instance);
  const alone = exempt.filter((one) => one.owner === owner.instance);
  const [first] = alone;
  if (own.length === 0 && first !== undefined) throw leftAlone(first);
  if (own.length === 0) throw new Refusal(`Nothing of ${host} is alive.`);
  const what = `all that ${host} has started`;
  return { what, targets: own, exempt: alone, cause: 'terminated' };
}

function namesOwner(name: string, { owner: { instance, pid } }: SurveyedOwner): boolean {
  return name === String(pid) || names(name, instance);
}

function names(name: string, id: string): boolean {
  return name === id || (name.length >= MIN_PREFIX && id.startsWith(name));
}

function ambiguous(
  name: string,
  hosts: readonly SurveyedOwner[],
  processes: readonly Pick<Exempt, 'record'>[],
): Refusal {
  const all = [
    ...hosts.map(({ owner }) => `host ${owner.instance.slice(0, 8)}`),
    ...processes.map(({ record }) => record.id),
  ];
  const shown = all.slice(0, 5).join(', ');
  return new Refusal(
    `"${name}" may be any of ${all.length}: ${shown}${all.length > 5 ? ', …' : ''}. Write more of it.`,
  );
}
