import type { Os } from '../os/os.ts';
import type { History } from '../store/history.ts';
import type { Identity, Owner } from '../tree/identity.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import type { FailureDetector } from './failure-detector.ts';

/** The eyes of one host that judges another. */
export interface JudgeContext {
  readonly os: Pick<Os, 'processes'>;
  readonly self: Omit<Owner, 'instance'>;
  /** Absent for a caller that only looks at processes. */
  readonly detector?: Pick<FailureDetector, 'observe'> | undefined;
}

/** The means to end the trees of a dead host. */
export interface OrphanContext {
  readonly os: Os;
  readonly self: Identity;
  readonly ladder: LadderOptions;
  /** Says what would be ended, and ends nothing. */
  readonly dryRun: boolean;
}

/** The means to clean up after dead hosts in a state directory. */
export interface RecoveryContext extends OrphanContext {
  readonly stateDir: string;
  readonly self: Owner;
  /** Where the ends of what dead hosts left are noted. */
  readonly history?: Pick<History, 'ended' | 'lost'>;
  /** Tells which hosts of other containers or machines are dead; without it they are left alone. */
  readonly detector?: FailureDetector;
}
