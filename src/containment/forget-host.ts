import { rmSync } from 'node:fs';
import { lockPaths, readConversationLock } from '../store/conversation-lock.ts';
import { filesIn } from '../store/files.ts';
import { giveUp, readHeartbeat, removeHeartbeat } from '../store/heartbeat-file.ts';
import { removeShares } from '../store/host-share.ts';
import { readSafely } from '../store/journal-reader.ts';
import { removeOrders } from '../store/operator-requests.ts';
import { isOver, type Owner } from '../tree/identity.ts';
import type { RecoveryContext } from './context.ts';
import { removeConversationLocks } from './dead-locks.ts';
import { judgeHere } from './judge.ts';

/** The result for a host that its operator declares gone. */
export type Forgotten =
  | { readonly outcome: 'forgotten' | 'alive' | 'dead'; readonly owner: Owner }
  | { readonly outcome: 'unknown' | 'ambiguous' };

/**
 * Forgets a host that cannot be judged from here, on its operator's word; no process is signalled.
 *
 * A live host is refused. So is one that is proven dead: a sweep cleans up after it. If the host lives after
 * all and beats, it learns that it was given up.
 */
export async function forgetHost(name: string, context: RecoveryContext): Promise<Forgotten> {
  const owners = [...(await findOwners(context)).values()].filter(({ instance }) =>
    instance.startsWith(name),
  );
  const [owner] = owners;
  if (owner === undefined) return { outcome: 'unknown' };
  if (owners.length > 1) return { outcome: 'ambiguous' };
  const { verdict, aliveAtMs } = await judgeHere(owner, context);
  if (verdict === 'alive' || Number.isFinite(aliveAtMs)) return { outcome: 'alive', owner };
  if (isOver(verdict)) return { outcome: 'dead', owner };
  if (!context.dryRun) remove(owner, context);
  return { outcome: 'forgotten', owner };
}

function remove({ instance, heartbeat }: Owner, context: RecoveryContext): void {
  const { os, stateDir } = context;
  if (heartbeat !== undefined)
    giveUp(stateDir, heartbeat, readHeartbeat(stateDir, heartbeat, os), os);
  for (const { path, owner } of journalsIn(stateDir))
    if (owner === instance) rmSync(path, { force: true });
  removeConversationLocks(instance, context);
  removeShares(stateDir, instance);
  removeOrders(stateDir, { owner: instance });
  removeHeartbeat(stateDir, heartbeat);
}

async function findOwners({ os, stateDir }: RecoveryContext): Promise<Map<string, Owner>> {
  const owners = new Map<string, Owner>();
  for (const path of lockPaths(stateDir)) {
    const lock = readConversationLock(path, os);
    if (typeof lock === 'object') owners.set(lock.owner.instance, lock.owner);
  }
  for (const { path } of journalsIn(stateDir)) {
    const owner = (await readSafely(path, os, []))?.header?.owner;
    if (owner !== undefined) owners.set(owner.instance, owner);
  }
  return owners;
}

function journalsIn(stateDir: string) {
  return filesIn(stateDir, 'journal', 'claim', 'kept');
}
