/**
 * Characters that JSON.stringify leaves raw but a terminal obeys or a reader cannot see. These are
 * control characters above ASCII, invisible and reordering ones, and line separators. Line feeds are
 * left, since they are the layout.
 */
const UNSEEN = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Writes JSON that is safe to print on a terminal: unseen characters become `\u` escapes. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSEEN, escaped);
}

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
