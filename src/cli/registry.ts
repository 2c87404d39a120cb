import { accessSync, constants, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { FailureDetector } from '../containment/failure-detector.ts';
import type { OrphanContext } from '../containment/orphans.ts';
import type { Os } from '../os/os.ts';
import { systemOs } from '../os/system.ts';
import { type ResolvedOptions, resolveOptions } from '../supervisor/internals.ts';
import type { Owner } from '../tree/identity.ts';
import { type Arguments, durationOf } from './arguments.ts';
import { Refusal } from './refusal.ts';

/** The state directory that a command is about, and who looks at it. */
export interface Registry {
  readonly os: Os;
  readonly stateDir: string;
  readonly options: ResolvedOptions;
  /** Whether there is one: without, nothing was ever started. */
  readonly exists: boolean;
}

/**
 * Finds the state directory: the option, the operator's variable, or the platform's own.
 *
 * @throws Refusal for one that was named and is not there, that cannot be read, or is another user's
 */
export function findRegistry(args: Arguments): Registry {
  const { stateDir: named } = args;
  const { os, options } = readOptions(args);
  const { stateDir } = options;
  const stat = statOf(stateDir);
  if (stat === undefined) {
    if (named === undefined) return { os, stateDir, options, exists: false };
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
  return { os, stateDir, options, exists: true };
}

/** What the arguments and the operator's variables say of the supervision. */
export function readOptions(args: Arguments): Pick<Registry, 'os' | 'options'> {
  const { stateDir } = args;
  const os = systemOs();
  if (stateDir === '') throw new Refusal('--state-dir is empty. Name a folder, or leave it out.');
  // Whoever ends something from here has no stdin of it to end, or has waited long enough for that.
  const ladder = { stdinEofMs: 0, termMs: durationOf('grace', args.text('grace')) };
  const where = stateDir === undefined ? {} : { stateDir: resolve(stateDir) };
  return { os, options: resolveOptions({ ...where, ladder }, os) };
}

/** Who we are, as somebody who looks: of no host, and so the owner of nothing. */
export async function onlooker({ os, stateDir, options }: Registry): Promise<OnlookerContext> {
  const identity = (await os.identifyAsync?.()) ?? os.identify();
  const self: Owner = { ...identity, instance: crypto.randomUUID() };
  const detector = new FailureDetector(os, stateDir, { looksOnce: true });
  const context = { os, stateDir, self, detector, ladder: options.ladder };
  return { ...context, dryRun: true, ownTree: () => undefined };
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
