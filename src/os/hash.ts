import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** A text's name as a file: 32 hexadecimal digits, whatever is in it and however long it is. */
export function hashName(text: string): string {
  // At the first use: it would be a quarter of what our import costs.
  const { createHash } = require('node:crypto') as typeof import('node:crypto');
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
