// The prose of src: doc comments that a newcomer can read, and the field's words in place of private ones.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '../../../src');
const MAX_WORDS = 20;
const QUESTION = /^(?:What|How|Whether|Who|Which)\b/;
/** Words that this project once used for what the field has a word for, alone or in a longer name. */
const PRIVATE_WORDS = new Set([
  ...['asker', 'bookkeeping', 'corridor', 'desk', 'dialect', 'estate', 'foundation', 'gate'],
  ...['passage', 'patient', 'persistent', 'speaker', 'spender', 'traffic', 'visit', 'wish'],
]);
/** Names of the same kind that are ordinary words, or several. */
const PRIVATE_NAMES =
  /\b(?:Attempted|climbDown|Deed|Endable|EndTarget|HandleControls|LiveContext|LiveParts|Overdue|ownPool|QueueContext|seenDead|Sequel|StartContext|TiedQuery|treeDeath|WayBack)\b/g;

function docCommentsOf(source: string): string[] {
  const blocks = source.matchAll(/\/\*\*\s([\s\S]*?)\*\//g);
  return Array.from(blocks, ([, text = '']) => text.replace(/^[ \t]*\*[ \t]?/gm, '').trim());
}

/** A sentence ends before a capital letter or code, at a blank line, and before a tag. */
function firstSentenceOf(comment: string): string {
  const [sentence = ''] = comment.split(/(?<=[.!?:])\s+(?=[A-Z`{])|\n\s*\n|(?=@\w)/, 1);
  return sentence.replace(/\s+/g, ' ').trim();
}

function badSentencesOf(source: string): string[] {
  return docCommentsOf(source).flatMap((comment) => {
    const sentence = firstSentenceOf(comment);
    const words = sentence.split(' ').filter((word) => /[\w`]/.test(word)).length;
    if (words > MAX_WORDS) return `${words} words: ${sentence}`;
    return QUESTION.test(sentence) ? `begins as a question: ${sentence}` : [];
  });
}

/** Finds private words in comments, texts and identifiers, whose parts and plurals count, too. */
function privateWordsOf(source: string): string[] {
  const words = source.match(/[A-Z]?[a-z]+|[A-Z]+/g) ?? [];
  const found = words.filter((word) => PRIVATE_WORDS.has(word.toLowerCase().replace(/s$/, '')));
  return [...new Set([...found, ...(source.match(PRIVATE_NAMES) ?? [])])];
}

describe('src', () => {
  const paths = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
  const files = paths
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, source: readFileSync(join(SRC, path), 'utf8') }));

  const inAll = (rule: (source: string) => string[]): string[] =>
    files.flatMap(({ path, source }) => rule(source).map((found) => `${path}: ${found}`));

  it('is read', () => {
    expect(inAll(docCommentsOf).length).toBeGreaterThan(1_000);
  });

  it('begins every doc comment with a statement of at most 20 words', () => {
    expect(inAll(badSentencesOf)).toEqual([]);
  });

  it('uses no private word', () => {
    expect(inAll(privateWordsOf)).toEqual([]);
  });
});

describe('each rule can fail', () => {
  const words = (count: number): string => Array.from({ length: count }, () => 'word').join(' ');

  it.each(['What', 'How', 'Whether', 'Who', 'Which'])(
    'on a comment that begins with %s',
    (word) => {
      const broken = [`begins as a question: ${word} it is.`];
      expect(badSentencesOf(`/** ${word} it is. */`)).toEqual(broken);
      expect(badSentencesOf(`  /**\n   * ${word} it\n   * is. More.\n   */`)).toEqual(broken);
    },
  );

  it('on a first sentence of more than 20 words', () => {
    expect(badSentencesOf(`/** ${words(21)}. */`)).toEqual([`21 words: ${words(21)}.`]);
    expect(badSentencesOf(`/**\n * ${words(11)}\n * ${words(10)}\n */`)).toHaveLength(1);
  });

  it('on a private word', () => {
    expect(privateWordsOf('/** The Corridor. */')).toEqual(['Corridor']);
    expect(privateWordsOf('const openGates = 1;')).toEqual(['Gates']);
    expect(privateWordsOf('const MAX_VISITS = 1;')).toEqual(['VISITS']);
    expect(privateWordsOf('interface WayBack {}')).toEqual(['WayBack']);
  });

  it('on nothing else', () => {
    const comments = [
      `/** ${words(20)}. The ${words(30)}. */`,
      `/**\n * ${words(15)}\n *\n * ${words(15)}\n */`,
      `/**\n * ${words(15)}\n * @default ${words(15)}\n */`,
      '/** Whoever it is. */',
      `/* What it is. ${words(30)} */`,
    ];
    expect(comments.flatMap(badSentencesOf)).toEqual([]);
    expect(privateWordsOf('navigate(delegate, investigate, visitors)')).toEqual([]);
  });
});
