import { builtin } from './builtin.ts';

/** A text's name as a file: 32 hexadecimal digits, whatever is in it and however long it is. */
export function hashName(text: string): string {
  // At the first use: it would be a quarter of what our import costs.
  const { createHash } = builtin('node:crypto');
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
