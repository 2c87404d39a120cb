import { endTargets, findTargets } from './endings.ts';
import type { Command } from './execute.ts';
import { Refusal } from './refusal.ts';
import { findRegistry } from './registry.ts';

export const run: Command = async (args, terminal) => {
  const [session, ...more] = args.positionals;
  if (session === undefined || more.length > 0)
    throw new Refusal('reap takes one session. "agent-supervisor ps" shows them.');
  const field = await findTargets(findRegistry(args));
  const targets = field.targets.filter(({ record }) => record.sessionId === session);
  if (targets.length === 0)
    throw new Refusal(
      `Nothing of session "${session}" is alive. "agent-supervisor ps" shows what is.`,
    );
  return endTargets(targets, `session "${session}"`, 'reaped', field, args, terminal);
};
