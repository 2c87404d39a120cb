import { readdirSync } from 'node:fs';

/** What lies in a state directory as long as something is supervised; the history and the clock's file stay. */
export function standing(stateDir: string): string[] {
  return readdirSync(stateDir)
    .filter((name) => !name.startsWith('history-') && name !== 'clock.json')
    .sort();
}
