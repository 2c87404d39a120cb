import { forgetHost } from '../containment/forget-host.ts';
import { sweep } from '../containment/sweep.ts';
import { createSupervisor, type SweepReport } from '../index.ts';
import { safeJson } from '../inspect/safe-json.ts';
import type { Terminal } from '../os/terminal.ts';
import type { Arguments } from './arguments.ts';
import type { Command } from './command.ts';
import { confirm } from './endings.ts';
import { counted } from './paint.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { findRegistry, onlooker, type Registry } from './registry.ts';

export const run: Command = async (args, terminal) => {
  const registry = findRegistry(args);
  const { stdout } = terminal;
  if (!registry.exists) {
    const nothing = `There is nothing to recover: no ${plain(registry.stateDir)}.`;
    stdout.write(args.json ? 'null\n' : `${nothing}\n`);
    return 0;
  }
  const name = args.text('forget');
  if (name !== undefined) return forget(name, registry, args, terminal);
  const plan = await rehearse(registry);
  const isDry = args.flag('dry-run');
  if (!isDry && plan.orphans.length > 0)
    await confirm(
      `End ${counted(plan.orphans.length, 'process', 'processes')} that dead hosts have left?`,
      args,
      terminal,
    );
  const report = isDry ? plan : await perform(registry);
  if (args.json) stdout.write(`${safeJson(report, 2)}\n`);
  else stdout.write(`${lines(report, isDry).join('\n')}\n`);
  return report.survivors.length > 0 ? 1 : 0;
};

/** Forgets a host that cannot be judged from here, on the operator's word that it is gone. */
async function forget(
  name: string,
  registry: Registry,
  args: Arguments,
  terminal: Terminal,
): Promise<number> {
  const isDry = args.flag('dry-run');
  const context = await onlooker(registry);
  const found = await forgetHost(name, context);
  switch (found.outcome) {
    case 'unknown':
      throw new Refusal(`There is no host "${plain(name)}". "agent-supervisor ps" lists them.`);
    case 'ambiguous':
      throw new Refusal(`"${plain(name)}" begins the names of several hosts. Name one in full.`);
    case 'alive':
      throw new Refusal(`Host ${found.owner.instance} is alive. End it where it runs.`, 1);
    case 'dead':
      throw new Refusal(
        `Host ${found.owner.instance} is proven dead. "agent-supervisor recover" cleans up after it.`,
        1,
      );
  }
  const { instance, pid, machine } = found.owner;
  if (!isDry) {
    const who = `host ${instance} (pid ${pid} on ${plain(machine)})`;
    await confirm(`Forget ${who}, which has to be gone?`, args, terminal);
    await forgetHost(instance, { ...context, dryRun: false });
  }
  const told = `${isDry ? 'would forget' : 'forgot'} host ${instance}`;
  const { stdout } = terminal;
  stdout.write(args.json ? `${safeJson({ forgotten: [instance] }, 2)}\n` : `${told}\n`);
  return 0;
}

/** Finds what the start of a supervisor would do, and leaves no trace. */
async function rehearse(registry: Registry): Promise<SweepReport> {
  return sweep(await onlooker(registry), { known: () => [], overdue: [], trees: [] });
}

async function perform({ stateDir, ladder }: Registry): Promise<SweepReport> {
  // This supervisor starts no process, so it needs no guardian.
  await using supervisor = createSupervisor({ stateDir, ladder, guardian: false });
  // Without `await` it would be stopped in the midst of its start.
  return await supervisor.start();
}

function lines(report: SweepReport, isDry: boolean): string[] {
  const { orphans, recovered, forgotten, removed, kept, unproven, survivors } = report;
  const [ended, removing] = isDry ? ['would end', 'would remove'] : ['ended', 'removed'];
  const named = ({ pid, command, id }: { pid: number; command: string; id: string }): string =>
    `${plain(command)} (pid ${pid}, of ${id})`;
  const deeds = [
    ...orphans.map((orphan) => `${ended} ${named(orphan)}: ${plain(orphan.reason)}`),
    ...survivors.map((survivor) => `could not end ${named(survivor)}`),
    ...removed.map((path) => `${removing} ${plain(path)}`),
    ...recovered.map((owner) => `cleaned up after host ${owner}`),
  ];
  return [
    ...(deeds.length > 0 || forgotten > 0 ? deeds : ['Nothing to recover.']),
    ...(forgotten > 0 ? [`${isDry ? 'would forget' : 'forgot'} ${forgotten} that are gone`] : []),
    ...unproven.map(
      ({ pid, reason }) => `left alone: ${pid ? `pid ${pid}: ` : ''}${plain(reason)}`,
    ),
    ...kept.map(
      (process) =>
        `${process.disowned ? 'was disowned, and lives on' : 'lives on by intention'}: ${named(process)}`,
    ),
  ];
}
