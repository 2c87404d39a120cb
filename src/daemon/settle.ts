import { judgeRecorded } from '../containment/recorded-process.ts';
import type { Os } from '../os/os.ts';
import type { ReadyOutcome } from '../ready/await-ready.ts';
import { createExclusive } from '../store/exclusive.ts';
import { contentOf, pidFileText } from '../store/pid-file.ts';
import type { PidFile } from '../store/pid-record.ts';
import { treeOfDaemon } from './handover.ts';
import { inspectPidFile, type PidFileView } from './inspect.ts';
import { removeIfUnchanged } from './own-pid-file.ts';

/**
 * Records in the pid file that a daemon is ready, with its pid and the launches that had failed before.
 *
 * Resolves to `undefined` if the daemon is gone.
 */
export async function settlePidFile(
  path: string,
  file: PidFile,
  { holder, failures }: Pick<ReadyOutcome, 'holder'> & { readonly failures: number },
  os: Os,
): Promise<PidFile | undefined> {
  const view = await inspectPidFile(path, os);
  const now = fileOf(view) ?? file;
  if (view.state === 'alive' && now.starting === undefined) return now;
  // The launched program may have exited and left the daemon to a child. The daemon is then the process
  // that listens, or the oldest one of the tree.
  const isAlive = view.state === 'alive' || (await judgeRecorded(now, os)) === 'alive';
  const successor = isAlive ? undefined : await successorOf(now, holder, os);
  if (!isAlive && successor === undefined) return undefined;
  const { starting: _, boot: __, ...rest } = { ...now, ...successor };
  const ready = { at: os.clock.now(), sinceBootMs: os.clock.sinceBootMs(), failures };
  const settled = { ...rest, ready };
  const isOurs = contentOf(path, os)?.cookie === file.cookie;
  if (isOurs && removeIfUnchanged(path, now, os))
    createExclusive(path, pidFileText(settled), crypto.randomUUID());
  return settled;
}

async function successorOf(file: PidFile, holder: number | undefined, os: Os) {
  const members = await treeOfDaemon(os, file).liveMembers();
  const [oldest] = members.sort((a, b) => Number(a.startTime) - Number(b.startTime));
  const member = members.find(({ pid }) => pid === holder) ?? oldest;
  if (member === undefined) return undefined;
  // The heartbeat of the process before says nothing about this one.
  const heartbeat = file.claimed ? undefined : file.heartbeat;
  return { pid: member.pid, startTime: member.startTime, claimed: undefined, heartbeat };
}

function fileOf(view: PidFileView): PidFile | undefined {
  return view.state === 'alive' || view.state === 'stale' ? view.file : undefined;
}
