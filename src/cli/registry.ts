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

/** The state directory that a command reads. */
export class Registry {
  readonly os: Os = systemOs();
  readonly stateDir: string;
  /** `false` if there is no state directory, since nothing was ever started. */
  readonly exists: boolean;
  readonly ladder: NonNullable<SupervisorOptions['ladder']>;
  #options: ResolvedOptions | undefined;

  constructor(args: Arguments, exists = true) {
    if (args.stateDir === '')
      throw new Refusal('--state-dir is empty. Name a folder, or leave it out.');
    this.stateDir = findStateDir(args.stateDir, this.os).stateDir;
    this.exists = exists;
    // A command holds no stdin of the processes that it ends, so closing it is no step of the ladder.
    this.ladder = { stdinEofMs: 0, termMs: durationOf('grace', args.text('grace')) };
  }

  /** The checked options, made at their first use because their schemas take longer than a whole `ps`. */
  get options(): ResolvedOptions {
    this.#options ??= resolveOptions({ stateDir: this.stateDir, ladder: this.ladder }, this.os);
    return this.#options;
  }
}

/**
 * Finds the state directory: that of the option, of the operator's variable, or of the platform.
 *
 * @throws Refusal if it was named but does not exist, cannot be read, or belongs to another user
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

/** Makes the context of a command that only reads: it belongs to no host, and owns no process. */
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
