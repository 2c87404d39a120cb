import type { SurveyedOwner } from '../doctor/survey.ts';
import { endTargets, type Field, findTargets, type Target } from './endings.ts';
import type { Command } from './execute.ts';
import { plain } from './paint.ts';
import { Refusal } from './refusal.ts';
import { findRegistry } from './registry.ts';

/** A shorter beginning of an id would name too much. */
const MIN_PREFIX = 4;

export const run: Command = async (args, terminal) => {
  const [name, ...more] = args.positionals;
  if (name === undefined || more.length > 0)
    throw new Refusal('stop takes one host or one process id. "agent-supervisor ps" shows them.');
  const field = await findTargets(findRegistry(args));
  const { what, targets } = choose(name, field);
  return endTargets(targets, what, 'terminated', field, args, terminal);
};

interface Choice {
  readonly what: string;
  readonly targets: readonly Target[];
}

function choose(name: string, { owners, targets }: Field): Choice {
  const hosts = owners.filter((owner) => namesOwner(name, owner));
  const processes = targets.filter(
    ({ record }) => names(name, record.id) || name === String(record.pid),
  );
  const exact = processes.filter(({ record }) => record.id === name);
  const found = exact.length > 0 ? exact : processes;
  if (hosts.length + found.length > 1) throw ambiguous(name, hosts, found);
  const [target] = found;
  if (target !== undefined) {
    const { id, pid, command } = target.record;
    return { what: `${plain(command)} (pid ${pid}, ${id})`, targets: [target] };
  }
  const [host] = hosts;
  if (host === undefined)
    throw new Refusal(
      `No host and no live process is named "${name}". "agent-supervisor ps" shows them.`,
    );
  const { instance, pid } = host.owner;
  const own = targets.filter(({ owner }) => owner === instance);
  const what = `all that host ${instance.slice(0, 8)} (pid ${pid}) has started`;
  if (own.length === 0)
    throw new Refusal(
      `Nothing of host ${instance.slice(0, 8)} (pid ${pid}) is alive, or none of it can be proven from here.`,
    );
  return { what, targets: own };
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
  processes: readonly Target[],
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
