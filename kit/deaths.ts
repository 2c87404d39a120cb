// Hosts that die at a step of their spawn, and the processes that they leave, seen from outside.
import { once } from 'node:events';
import { Area, findGuardians, GRACE_MS, type HostOptions, LADDER } from './containment.ts';
import { eventually } from './process-table.ts';

interface StepDeath {
  /** The steps that the host took; the last one is that of its death, if it killed itself. */
  readonly steps: readonly string[];
  readonly signal: NodeJS.Signals | null;
  /** Live processes of its tree after the grace, with the guardian if that was alive. */
  readonly survivors: readonly string[];
}

/** Makes a host spawn a tree and kill itself at this step; without the step it lives to the end. */
export async function dieAt(step: string, host: HostOptions = {}): Promise<StepDeath> {
  const area = new Area();
  try {
    const { child, messages } = area.host({
      ...host,
      script: 'contained-steps.ts',
      args: [step],
    });
    const [, signal] = await once(child, 'close');
    const steps = messages.map((message) => String(message['step']));
    const isGuarded = host.options?.guardian !== false;
    const survivors = await area.survivors(isGuarded ? GRACE_MS : LADDER.termMs + LADDER.killMs);
    const owners = area.owners();
    await eventually(() => findGuardians(owners).length === 0, { timeoutMs: 2000 }).catch(() =>
      survivors.push('the guardian'),
    );
    await area.endAll();
    return { steps, signal, survivors };
  } finally {
    await area.close();
  }
}

/**
 * Kills one host after another, each at another step. Returns the steps of the deaths, with the
 * survivors of each.
 */
export async function dieEverywhere(
  isWanted: (step: string) => boolean,
  host: HostOptions = {},
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { steps } = await dieAt('none', host);
  const due = steps.filter(isWanted);
  const deaths = new Map<string, readonly string[]>();
  const dieOn = async (): Promise<void> => {
    for (let step = due.shift(); step !== undefined; step = due.shift()) {
      const { signal, survivors } = await dieAt(step, host);
      // The number of looks and waits at the end of a process varies, so a step may not be reached.
      if (signal === 'SIGKILL') deaths.set(step, survivors);
    }
  };
  await Promise.all([dieOn(), dieOn()]);
  return deaths;
}

/** Steps of every spawn: a run over all steps has killed a host at each of these. */
export const CERTAIN_STEPS = [
  ...['before os.launch (1)', 'after os.launch (1)', 'after os.processes.read (1)'],
  ...['before guardian.write (1)', 'after guardian.write (1)', 'after the journal (1)'],
  ...["at 'started' (1)", 'at onSpawn (1)', "at 'exit' (1)", "at 'leftovers' (1)"],
  ...['before guardian.write (2)', 'before the journal (2)', 'after the journal (2)'],
  "at 'exited' (1)",
];
