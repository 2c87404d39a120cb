import { safeJson } from '../doctor/safe-json.ts';
import { createSupervisor, type SweepReport } from '../index.ts';
import { sweep } from '../ownership/sweep.ts';
import { confirm } from './endings.ts';
import type { Command } from './execute.ts';
import { counted } from './paint.ts';
import { plain } from './plain.ts';
import { findRegistry, onlooker, type Registry } from './registry.ts';

export const run: Command = async (args, terminal) => {
  const registry = findRegistry(args);
  const { stdout } = terminal;
  if (!registry.exists) {
    const nothing = `There is nothing to recover: no ${plain(registry.stateDir)}.`;
    stdout.write(args.json ? 'null\n' : `${nothing}\n`);
    return 0;
  }
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

/** What a start would do, without a trace of our own. */
async function rehearse(registry: Registry): Promise<SweepReport> {
  return sweep(await onlooker(registry), { known: () => [], overdue: [], trees: [] });
}

async function perform({ stateDir, options }: Registry): Promise<SweepReport> {
  // It starts nothing, so there is nothing to guard.
  await using supervisor = createSupervisor({ stateDir, ladder: options.ladder, guardian: false });
  return supervisor.start();
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
    ...kept.map((process) => `lives on by intention: ${named(process)}`),
  ];
}
