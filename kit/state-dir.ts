import { readdirSync } from 'node:fs';

/** What says in a state directory that something is supervised: not the history, the clock's file and the hosts' heartbeats. */
export function standing(stateDir: string): string[] {
  return readdirSync(stateDir)
    .filter((name) => !/^(?:history-|heartbeat-|clock\.json$)/.test(name))
    .sort();
}
