import { readdirSync } from 'node:fs';

/** Lists the files that show supervision: all but the history, the clock's file and heartbeats. */
export function standing(stateDir: string): string[] {
  return readdirSync(stateDir)
    .filter((name) => !/^(?:history-|heartbeat-|clock\.json$)/.test(name))
    .sort();
}
