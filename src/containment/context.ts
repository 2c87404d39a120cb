import type { Os } from '../os/os.ts';
import type { SupervisionRecord } from '../store/formats.ts';
import type { History } from '../store/history.ts';
import type { Identity, Owner } from '../tree/identity.ts';
import type { LadderOptions } from '../tree/ladder.ts';
import type { FailureDetector } from './failure-detector.ts';

/** The means of one host to judge whether another is alive. */
export interface JudgeContext {
  readonly os: Pick<Os, 'processes'>;
  readonly self: Omit<Owner, 'instance'>;
  /** Absent for a caller that judges only by the process table. */
  readonly detector?: Pick<FailureDetector, 'observe'> | undefined;
}

/** The means to end the trees of a dead host. */
export interface OrphanContext {
  readonly os: Os;
  readonly self: Identity;
  readonly ladder: LadderOptions;
  /** Reports what would be ended, and ends nothing. */
  readonly dryRun: boolean;
}

/** The means to clean up after dead hosts in a state directory. */
export interface RecoveryContext extends OrphanContext {
  readonly stateDir: string;
  readonly self: Owner;
  /** Hears that an own kept or disowned process and its tree are dead, before its file is removed. */
  keptGone?(id: string): void;
  /** Runs the cleanup that a record names; absent for a caller that runs nothing. */
  cleanUp?(record: SupervisionRecord): Promise<void>;
  /** Records how the processes of dead hosts ended. */
  readonly history?: Pick<History, 'ended' | 'lost'>;
  /** Tells which hosts of other containers or machines are dead; without it they are left alone. */
  readonly detector?: FailureDetector;
}
