import type { Command } from './command.ts';
import { endTargets, findTargets, leftAlone } from './endings.ts';
import { plain } from './plain.ts';
import { Refusal } from './refusal.ts';
import { findRegistry } from './registry.ts';

export const run: Command = async (args, terminal) => {
  const [session] = args.positionals;
  if (session === undefined)
    throw new Refusal('reap takes one session. "agent-supervisor ps" shows them.');
  const { targets, exempt, context } = await findTargets(findRegistry(args));
  const ofIt = ({ record }: { record: { sessionId?: string | undefined } }): boolean =>
    record.sessionId === session;
  const selection = {
    what: `session "${plain(session)}"`,
    targets: targets.filter(ofIt),
    exempt: exempt.filter(ofIt),
    cause: 'reaped',
  } as const;
  const [alone] = selection.exempt;
  if (selection.targets.length === 0 && alone !== undefined) throw leftAlone(alone);
  if (selection.targets.length === 0)
    throw new Refusal(
      `Nothing of session "${session}" is alive. "agent-supervisor ps" shows what is.`,
    );
  return endTargets(selection, context, args, terminal);
};
