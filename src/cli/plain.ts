import { stripVTControlCharacters } from 'node:util';

/** What could steer a terminal, break a line, or let a text read in another order than it is written. */
const STEERING = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** A name that others have chosen, as one line without what could steer a terminal. */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replace(STEERING, '?');
}

/** Two columns wide in a terminal: East Asian letters, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
/** None of its own: it is drawn over what stands before it. */
const NARROWEST = /^[\p{Mn}\p{Me}\p{Cf}]/u;

let segmenter: Intl.Segmenter | undefined;

/** How many columns of a terminal a plain text takes. */
export function widthOf(text: string): number {
  if (isAscii(text)) return text.length;
  return lettersOf(text).reduce((sum, letter) => sum + letterWidth(letter), 0);
}

/** The text within so many columns; what had to be cut off is an ellipsis. */
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

/** What a reader takes for one letter may be several characters. */
function lettersOf(text: string): string[] {
  segmenter ??= new Intl.Segmenter('en');
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
