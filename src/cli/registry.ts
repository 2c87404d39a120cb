import { accessSync, constants, statSync } from 'node:fs';
import type { OrphanContext } from '../containment/context.ts';
import { FailureDetector } from '../containment/failure-detector.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import {
  findStateDir,
  type ResolvedOptions,
  resolveOptions,
  type SupervisorOptions,
} from '../supervisor/internals.ts';
import type { Owner } from '../tree/identity.ts';
import { type Arguments, durationOf } from './arguments.ts';
import { Refusal } from './refusal.ts';

/** The state directory that a command is about. */
export class Registry {
  readonly os: Os = systemOs();
  readonly stateDir: string;
  /** Whether there is one: without, nothing was ever started. */
  readonly exists: boolean;
  readonly ladder: NonNullable<SupervisorOptions['ladder']>;
  #options: ResolvedOptions | undefined;

  constructor(args: Arguments, exists = true) {
    if (args.stateDir === '')
      throw new Refusal('--state-dir is empty. Name a folder, or leave it out.');
    this.stateDir = findStateDir(args.stateDir, this.os).stateDir;
    this.exists = exists;
    // Whoever ends something from here has no stdin of it to end, or has waited long enough for that.
    this.ladder = { stdinEofMs: 0, termMs: durationOf('grace', args.text('grace')) };
  }

  /** Checked at their first use: to make their schemas takes longer than a whole `ps`. */
  get options(): ResolvedOptions {
    this.#options ??= resolveOptions({ stateDir: this.stateDir, ladder: this.ladder }, this.os);
    return this.#options;
  }
}

/**
 * Finds the state directory: the option, the operator's variable, or the platform's own.
 *
 * @throws Refusal for one that was named and is not there, that cannot be read, or is another user's
 */
export function findRegistry(args: Arguments): Registry {
  const registry = new Registry(args);
  const { os, stateDir } = registry;
  const stat = statOf(stateDir);
  if (stat === undefined) {
    if (args.stateDir === undefined) return new Registry(args, false);
    throw new Refusal(
      `There is no state directory ${stateDir}. Look at --state-dir, or at AGENT_SUPERVISOR_STATE_DIR.`,
    );
  }
  if (!stat.isDirectory()) throw new Refusal(`${stateDir} is no folder. Name a state directory.`);
  const own = os.userId();
  if (own !== undefined && stat.uid !== own)
    throw new Refusal(
      `The state directory ${stateDir} belongs to uid ${stat.uid}, and you are uid ${own}: nothing in it can be proven to you. Run this as its owner.`,
    );
  try {
    accessSync(stateDir, constants.R_OK | constants.X_OK);
  } catch (error) {
    throw unreadable(stateDir, error);
  }
  return registry;
}

/** Who we are, as somebody who looks: of no host, and so the owner of nothing. */
export async function onlooker(registry: Registry): Promise<OnlookerContext> {
  const { os, stateDir } = registry;
  const identity = (await os.identifyAsync?.()) ?? os.identify();
  return {
    ...{ os, stateDir, dryRun: true },
    self: { ...identity, instance: crypto.randomUUID() },
    detector: new FailureDetector(os, stateDir, { looksOnce: true }),
    get ladder() {
      return registry.options.ladder;
    },
    ownTree: () => undefined,
  };
}

export interface OnlookerContext extends OrphanContext {
  readonly stateDir: string;
  readonly self: Owner;
  readonly detector: FailureDetector;
  ownTree(id: string): undefined;
}

function statOf(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): Refusal {
  return new Refusal(`The state directory ${path} cannot be read: ${(error as Error).message}.`);
}
