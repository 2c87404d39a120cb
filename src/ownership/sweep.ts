import type { SweepReport } from '../reports.ts';
import { endStrays } from './orphans.ts';
import { type RecoveryContext, recover } from './recovery.ts';

/**
 * Looks once at the state directory and the process table: ends what dead owners left, and what
 * carries our own cookie without belonging to anything that we know.
 */
export async function sweep(
  context: RecoveryContext,
  isKnown: (id: string) => boolean,
): Promise<SweepReport> {
  const { clock } = context.os;
  const beganMs = clock.monotonicMs();
  const { recovered, unproven, ...left } = await recover(context);
  const strays = await endStrays(context.self.instance, isKnown, context);
  return {
    recovered,
    unproven,
    ended: [...left.ended, ...strays.ended],
    survivors: [...left.survivors, ...strays.survivors],
    orphans: [...left.orphans, ...strays.orphans],
    forgotten: left.forgotten,
    durationMs: clock.monotonicMs() - beganMs,
  };
}
