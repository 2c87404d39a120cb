import { stripVTControlCharacters } from 'node:util';

/** Characters that could control a terminal, break a line, or reverse the order of a text. */
const STEERING = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Makes a foreign text safe to print: one line, without characters that control a terminal. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(STEERING, '?');
}

/** Letters that are two columns wide in a terminal: East Asian ones, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
/** Characters without a width of their own: the terminal draws them over the one before. */
const NARROWEST = /^[\p{Mn}\p{Me}\p{Cf}]/u;

let segmenter: Intl.Segmenter | undefined;

/** Measures a plain text in columns of a terminal. */
export function widthOf(text: string): number {
  if (isAscii(text)) return text.length;
  return lettersOf(text).reduce((sum, letter) => sum + letterWidth(letter), 0);
}

/** Cuts a text to a number of columns. An ellipsis marks the cut. */
export function fit(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let [kept, left] = ['', columns - 1];
  for (const letter of lettersOf(text)) {
    left -= letterWidth(letter);
    if (left < 0) break;
    kept += letter;
  }
  return columns < 1 ? '' : `${kept}…`;
}

function letterWidth(letter: string): number {
  if (NARROWEST.test(letter)) return 0;
  return WIDE.test(letter) ? 2 : 1;
}

/** Splits a text into letters as a reader sees them, each of which may be several characters. */
function lettersOf(text: string): string[] {
  segmenter ??= new Intl.Segmenter('en');
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
