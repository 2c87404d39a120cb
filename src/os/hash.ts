import { builtin } from './builtin.ts';

/** A file name for any text: 32 hexadecimal digits of its hash. */
export function hashName(text: string): string {
  // Loaded at first use: it would be a quarter of this package's import time.
  const { createHash } = builtin('node:crypto');
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
