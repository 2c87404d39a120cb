import { safeJson } from '../inspect/safe-json.ts';
import type { Command } from './command.ts';
import { painter } from './paint.ts';
import { plain } from './plain.ts';
import { findRegistry } from './registry.ts';
import { slotLines, takeView, treeLines } from './view.ts';

export const run: Command = async (args, terminal) => {
  const registry = findRegistry(args);
  const view = await takeView(registry);
  if (args.json) terminal.stdout.write(`${safeJson(view, 2)}\n`);
  else if (view.owners.length === 0)
    terminal.stdout.write(`Nothing is supervised with ${plain(registry.stateDir)}.\n`);
  else {
    const width = terminal.isTty ? terminal.size().columns : undefined;
    const paint = painter(terminal.hasColor);
    const slots = slotLines(view, paint, width);
    const lines = [...treeLines(view, paint, width), ...(slots.length > 0 ? ['', ...slots] : [])];
    terminal.stdout.write(`${lines.join('\n')}\n`);
  }
  return 0;
};
