import { existsSync, rmSync } from 'node:fs';
import type { Os } from '../os/os.ts';
import { filesIn, readOwnFile, replaceFile } from './files.ts';
import { FORMAT_VERSION, type Order, parseOrder } from './formats.ts';
import { parseJson } from './jsonl.ts';
import { orderPath, parseName } from './layout.ts';

/** One process of an owner. */
interface Ordered {
  readonly owner: string;
  readonly id: string;
}

/** Tells a living host, before the first signal, that an operator ends one of its processes, and as what. */
export function giveOrder(stateDir: string, process: Ordered, cause: Order['cause']): void {
  const order: Order = { version: FORMAT_VERSION, cause };
  replaceFile(orderPath(stateDir, process.owner, process.id), JSON.stringify(order));
}

/** Takes an operator's order for a process that has just ended; it is told once. */
export function takeOrder(
  stateDir: string,
  process: Ordered,
  os: Pick<Os, 'userId'>,
): Order['cause'] | undefined {
  const path = orderPath(stateDir, process.owner, process.id);
  if (!existsSync(path)) return undefined;
  try {
    const order = parseOrder(parseJson(readOwnFile(path, os)));
    rmSync(path, { force: true });
    return order?.cause;
  } catch {
    // Taken back in this moment, or none of ours.
    return undefined;
  }
}

/** Takes back the order for one process, or for all of an owner. */
export function removeOrders(
  stateDir: string,
  { owner, id }: Pick<Ordered, 'owner'> & { readonly id?: string },
): void {
  for (const file of filesIn(stateDir, 'order', 'half-written')) {
    const order = file.kind === 'order' ? file : parseName(file.of, 'order');
    if (order?.owner !== owner) continue;
    // A half-written one of a single process may be another operator's, who writes it now.
    if (id === undefined || (file.kind === 'order' && order.id === id))
      rmSync(file.path, { force: true });
  }
}
