// The bundle replaces this module by the text of the files (scripts/bundle.ts). The page then works in
// hosts that are bundled themselves, where these files are not beside the code.
import { readFileSync } from 'node:fs';

const read = (name: string): string =>
  readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');

export const liveScript = (): string => read('live.js');
export const liveStyle = (): string => read('live.css');
export const icon = (): string => read('icon.svg');
