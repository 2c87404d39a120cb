// The page's own files. The bundle has their text in place of this module (scripts/bundle.ts), so that
// nothing has to be found beside it, whatever bundles the host.
import { readFileSync } from 'node:fs';

const read = (name: string): string =>
  readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');

export const liveScript = (): string => read('live.js');
export const liveStyle = (): string => read('live.css');
export const icon = (): string => read('icon.svg');
