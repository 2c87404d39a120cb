import { countAhead, limitOf, missesTurn, shareOf } from '../policy/machine-slots.ts';
import type { HostShareFile } from '../store/formats.ts';
import { readShares } from '../store/host-share.ts';
import { slotSetHash } from '../store/layout.ts';
import type { PublicText } from './public-text.ts';
import type { MachineHostHealth, MachineSlotsHealth, MachineWait } from './report.ts';
import type { Survey, SurveyContext } from './survey.ts';

/** Reports the slots that the hosts of this machine share: who holds, who waits, and why. */
export function machineSlotsHealth(
  { owners }: Survey,
  { os, stateDir, self }: Pick<SurveyContext, 'os' | 'stateDir' | 'self'>,
  publicText: PublicText,
): MachineSlotsHealth[] {
  const verdicts = new Map(owners.map(({ owner, verdict }) => [owner.instance, verdict]));
  const own = readShares(stateDir, os).flatMap(({ set, share }) =>
    share !== undefined && slotSetHash(self, share.kind) === set ? [share] : [],
  );
  const nowMs = os.clock.sinceBootMs();
  return Array.from(
    Map.groupBy(own, ({ kind }) => kind),
    ([kind, shares]) => {
      const counted = shares.map(shareOf);
      const held = counted.reduce((sum, share) => sum + share.held, 0);
      return {
        kind: kind === undefined ? null : publicText(kind),
        limit: limitOf(counted),
        held,
        hosts: shares
          .map((share) => {
            const verdict = verdicts.get(share.owner.instance) ?? 'unproven';
            return hostHealth(share, { shares, verdict, nowMs, publicText });
          })
          .sort((a, b) => b.held - a.held || a.pid - b.pid),
      };
    },
  );
}

interface HostContext {
  readonly shares: readonly HostShareFile[];
  readonly verdict: MachineHostHealth['verdict'];
  readonly nowMs: number;
  readonly publicText: PublicText;
}

function hostHealth(share: HostShareFile, context: HostContext): MachineHostHealth {
  const { owner, limit, held, holders, waiting } = share;
  const { publicText, nowMs, verdict } = context;
  return {
    instance: owner.instance,
    pid: owner.pid,
    machine: publicText(owner.machine),
    ...{ verdict, limit, held, holders },
    waiting: waiting.map(({ sessionId, sinceBootMs }) => ({
      sessionId: sessionId === undefined ? null : publicText(sessionId),
      waitedMs: Math.max(0, nowMs - sinceBootMs),
      why: reasonOf(sinceBootMs, share, context),
    })),
  };
}

function reasonOf(
  sinceMs: number,
  share: HostShareFile,
  { shares, verdict, nowMs }: HostContext,
): MachineWait['why'] {
  if (verdict === 'dead' || verdict === 'rebooted') return 'host-dead';
  if (missesTurn(share, nowMs)) return 'host-silent';
  const { instance } = share.owner;
  return countAhead({ instance, sinceMs }, shares.map(shareOf), nowMs) > 0
    ? 'others-first'
    : 'slots-held';
}
