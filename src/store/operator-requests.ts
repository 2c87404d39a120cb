import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Os } from '../os/os.ts';
import { namesIn, readOwnFile, replaceFile } from './files.ts';
import { FORMAT_VERSION, type Order, parseJson, parseOrder } from './formats.ts';

/** One process of an owner. */
interface Ordered {
  readonly owner: string;
  readonly id: string;
}

/** Tells a living host, before the first signal, that an operator ends one of its processes, and as what. */
export function giveOrder(stateDir: string, process: Ordered, cause: Order['cause']): void {
  const order: Order = { version: FORMAT_VERSION, cause };
  replaceFile(pathOf(stateDir, process), JSON.stringify(order));
}

/** What an operator has told of a process that has ended now; it is told once. */
export function takeOrder(
  stateDir: string,
  process: Ordered,
  os: Pick<Os, 'userId'>,
): Order['cause'] | undefined {
  const path = pathOf(stateDir, process);
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
  for (const name of namesIn(stateDir)) {
    const isIt =
      id === undefined ? name.startsWith(`order-${owner}.`) : name === `order-${owner}.${id}.json`;
    if (isIt) rmSync(join(stateDir, name), { force: true });
  }
}

function pathOf(stateDir: string, { owner, id }: Ordered): string {
  return join(stateDir, `order-${owner}.${id}.json`);
}
