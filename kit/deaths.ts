// Hosts that die at a step of their spawn, and what is left of their trees, seen from outside.
import { once } from 'node:events';
import { Area, findGuardians, GRACE_MS, type HostOptions, LADDER } from './containment.ts';
import { eventually } from './process-table.ts';

interface StepDeath {
  /** The steps that the host took; the last one is that of its death, if it died by its own hand. */
  readonly steps: readonly string[];
  readonly signal: NodeJS.Signals | null;
  /** What was alive of its tree after the grace, and whether its guardian was. */
  readonly survivors: readonly string[];
}

/** Lets a host spawn a tree and kill itself at this step; without one it lives to the end. */
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
 * Lets one host after the other die, each at a step of its own.
 *
 * @returns the steps at which one died, and what it left
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
      // How often the way back looks and waits is not the same each time.
      if (signal === 'SIGKILL') deaths.set(step, survivors);
    }
  };
  await Promise.all([dieOn(), dieOn()]);
  return deaths;
}

/** What every spawn does: whoever dies everywhere has died at each of these. */
export const CERTAIN_STEPS = [
  ...['before os.launch (1)', 'after os.launch (1)', 'after os.processes.read (1)'],
  ...['before guardian.write (1)', 'after guardian.write (1)', 'after the journal (1)'],
  ...["at 'started' (1)", 'at onSpawn (1)', "at 'exit' (1)", "at 'leftovers' (1)"],
  ...['before guardian.write (2)', 'before the journal (2)', 'after the journal (2)'],
  "at 'exited' (1)",
];
