import { SERVICE_KEYS } from './service-keys.ts';

const REDACTED = '[redacted]';
const SECRET_MIN_LENGTH = 6;
/** Minimum length of one line of a multi-line secret, which a program may print alone. */
const SECRET_LINE_MIN_LENGTH = 20;

export type Range = readonly [start: number, end: number];

/** Words that make a name secret anywhere in it. */
const SECRET_WORD =
  'key|token|secret|passw|passphrase|_pass(?![A-Za-z0-9])|credential|authorization';
/**
 * Words that make a name secret only as a whole word at its end.
 *
 * `pwd` needs something before it: alone, and in OLDPWD, it is a folder.
 */
const SECRET_LAST_WORD =
  '(?<![A-Za-z0-9])(?:pw|pat|dsn|_auth|otp|totp|csrf|xsrf|webhook|webhook_url|connection_?string|connstr|mnemonic)(?![\\w.-])|(?<=[_.-])auth(?![\\w.-])|(?<=[A-Za-z0-9])(?<!old)[_.-]?pwd(?![\\w.-])';
const SECRET_NAME = new RegExp(
  `${SECRET_WORD}|${SECRET_LAST_WORD}|(?<![A-Za-z0-9])jwt(?![A-Za-z0-9])`,
  'i',
);

/*
 * Every pattern is linear in the length of the text. It is anchored to the start of a run of characters, by a
 * lookbehind or by a literal that the run cannot contain, so no two attempts read the same run. No part that
 * can fail follows two adjacent quantifiers of the same class.
 */
const NAME = `(?<![\\w.-])(?=[\\w.-]*?(?:${SECRET_WORD}|${SECRET_LAST_WORD}))(?<name>[\\w.-]+)`;
const QUOTE = String.raw`(?:\\*["'])?`;
// In escaped, double or single quotes, or bare; without the closing quote.
const VALUE = String.raw`(?<value>(?<=\\["'])[^"'\\\r\n]*|(?<=")(?:[^"\\\r\n]|\\.)*|(?<=')(?:[^'\\\r\n]|\\.)*|[^\s"']+)`;
const PEM_END = `-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}`;

/** Patterns of secrets; the secret is the group `value`, or the whole match. */
const SHAPES: readonly RegExp[] = [
  // NAME=value, "name": "value", name: value, 'name' => 'value', name[password]=value
  new RegExp(
    String.raw`${NAME}${QUOTE}\]?[ \t]*(?:=>|:=|[:=])[ \t]*(?:\r?\n[ \t]*(?=["']))?${QUOTE}${VALUE}`,
    'gi',
  ),
  // --name value, "--name","value"
  new RegExp(String.raw`(?=--)${NAME}${QUOTE}(?:,\s*|[ \t]+)${QUOTE}${VALUE}`, 'gi'),
  // name = '''value''' and """value""", of one line or many
  new RegExp(
    String.raw`${NAME}${QUOTE}[ \t]*[:=][ \t]*(?<triple>'''|""")(?<value>[^]*?)(?:\k<triple>|$)`,
    'gi',
  ),
  // name: > or |, and the indented lines below it
  new RegExp(
    String.raw`${NAME}${QUOTE}[ \t]*:[ \t]*[|>][-+\d]*[ \t]*\r?\n(?<value>(?:[ \t][^\r\n]*(?:\r?\n|$)|\r?\n)+)`,
    'gi',
  ),
  // <name>value</name>, <x:name attribute="">value, <![CDATA[value]]>
  new RegExp(
    String.raw`<(?:[\w-]+:)?${NAME}(?:\s[^<>]*)?>\s*(?:<!\[CDATA\[)?(?<value>[^<\s][^<]*)`,
    'gi',
  ),
  // "name": "NAME", "value": "value"; <x name="NAME" value="value"; <x name="NAME">value<
  new RegExp(
    String.raw`(?<![\w-])(?:name|key|id)${QUOTE}[ \t]*[:=]\s*${QUOTE}${NAME}${QUOTE}\s*(?:,\s*)?(?:${QUOTE}value${QUOTE}[ \t]*[:=]\s*${QUOTE}${VALUE}|>(?<inner>[^<]+))`,
    'gi',
  ),
  // Authorization: any scheme, with its quoted parameters
  new RegExp(
    String.raw`authorization${QUOTE}[ \t]*[:=][ \t]*${QUOTE}(?<value>(?:=\\*"[^"\r\n]*"|[^"'\r\n])+)`,
    'gi',
  ),
  // Cookie: name=value, Set-Cookie: name=value
  new RegExp(
    String.raw`(?<![A-Za-z0-9])cookie2?${QUOTE}[ \t]*[:=][ \t]*${QUOTE}(?<value>[^\s=:;"']+=[^"'\r\n]*)`,
    'gi',
  ),
  /\b(?:bearer|basic)[ \t]+(?<value>[\w.~+/=-]+)/gi,
  // Signatures and other secret parameters of a URL
  /[?&;](?:sig|signature|x-(?:amz|goog|oss|cos)-(?:signature|credential|security-token)|sid|auth|hmac|hash|ticket|session(?:_?id)?)=(?<value>[^\s&#"'<>]{6,})/gi,
  /[?&;](?:code|state|nonce)=(?<value>[^\s&#"'<>]{12,})/gi,
  // scheme://user:password@host
  /:\/\/(?<value>[^\s/"']+)(?=@)/g,
  // A private key (PEM, OpenSSH, SSH2, PGP), whole or unfinished, and one whose first line is missing
  new RegExp(`-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}[^]*?(?:${PEM_END}|$)`, 'g'),
  new RegExp(String.raw`(?<![\w+/=\s\\])[\w+/=\s\\]+${PEM_END}`, 'g'),
  // PuTTY's: https://the.earth.li/~sgtatham/putty/latest/htmldoc/AppendixC.html
  /Private-Lines: \d+\r?\n(?<value>[\w+/=\r\n]+)/g,
  ...SERVICE_KEYS,
];

/**
 * Replaces with `[redacted]` the literal `secrets` (of 6 characters or more) and everything that looks
 * secret.
 *
 * Covered are values with a telling name (`API_KEY=…`, `"token": "…"`, `--password …`, `<secret>…`),
 * credentials and cookies of a request, keys of well-known services, JSON web tokens, passwords and
 * signatures in URLs, and private keys. Colours and other terminal sequences do not hide a secret.
 */
export function redactSecrets(text: string, secrets: readonly string[] = []): string {
  return mask(text, secretRanges(text, secrets));
}

/** Lists the values (of 6 characters or more) of variables with secret names, and the passwords in URLs. */
export function secretValues(env: Readonly<Record<string, string>>): string[] {
  const values = Object.entries(env).flatMap(([name, value]) =>
    SECRET_NAME.test(name) && !isCount(name, value) ? spellings(value.trim()) : passwordsIn(value),
  );
  return [...new Set(values.filter((value) => value.length >= SECRET_MIN_LENGTH))];
}

/** Returns the forms in which a value may appear: whole, by its longer lines, and escaped. */
function spellings(value: string): string[] {
  const lines = value.split(/\r?\n|\\n/).map((line) => line.trim());
  const own = [value, ...lines.filter((line) => line.length >= SECRET_LINE_MIN_LENGTH)];
  return [...own, encodeURIComponent(value.toWellFormed()), JSON.stringify(value).slice(1, -1)];
}

/** Returns the password of `postgres://user:password@host`, for any variable name. */
function passwordsIn(value: string): string[] {
  const password = /:\/\/[^\s/:@]*:([^\s/]+)@/.exec(value)?.[1];
  if (password === undefined) return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}

/** Tells a count from a secret: `MAX_OUTPUT_TOKENS=32000` is a number of tokens. */
function isCount(name: string, value: string): boolean {
  return /tokens$/i.test(name) && /^\d+\W*$/.test(value);
}

/** Tells a place in a file from a secret: `tokens.js:12:5`. */
function isPlace(name: string, value: string): boolean {
  return name.includes('.') && /^\d+(?::\d+)*[^\w]*$/.test(value);
}

/** Finds all secrets in the original text, so that one redaction cannot hide another secret's shape. */
export function secretRanges(text: string, secrets: readonly string[]): Range[] {
  const ranges = rangesIn(text, secrets);
  if (!text.includes(ESC) && !text.includes(CSI)) return ranges;
  const { plain, offsets } = withoutSequences(text);
  for (const [start, end] of rangesIn(plain, secrets))
    if (end > start) ranges.push([offsets[start] ?? 0, (offsets[end - 1] ?? text.length - 1) + 1]);
  return ranges;
}

function rangesIn(text: string, secrets: readonly string[]): Range[] {
  return [...shapeRanges(text), ...literalRanges(text, secrets)];
}

const ESC = '\x1b';
/** ESC [ in one byte. */
const CSI = '\x9b';
/** Control sequences of a terminal (ECMA-48): CSI, OSC with its end, and short ones. */
const SEQUENCE = new RegExp(
  [
    `(?:${ESC}\\[|${CSI})[0-?]*[ -/]*[@-~]`,
    `${ESC}\\][^\x07${ESC}]*(?:\x07|${ESC}\\\\)`,
    `${ESC}[ -/]*[0-Z\\\\^-~]`,
  ].join('|'),
  'g',
);

/** Returns a text without terminal sequences, and the original offset of each of its characters. */
function withoutSequences(text: string): { plain: string; offsets: number[] } {
  const offsets: number[] = [];
  let plain = '';
  let at = 0;
  const take = (end: number): void => {
    plain += text.slice(at, end);
    for (; at < end; at++) offsets.push(at);
  };
  for (const { index, 0: sequence } of text.matchAll(SEQUENCE)) {
    take(index);
    at = index + sequence.length;
  }
  take(text.length);
  return { plain, offsets };
}

function shapeRanges(text: string): Range[] {
  const ranges: Range[] = [];
  for (const shape of SHAPES) {
    for (const match of text.matchAll(shape)) {
      const { name = '', value, inner } = match.groups ?? {};
      const secret = value ?? inner ?? match[0];
      if (isCount(name, secret) || isPlace(name, secret)) continue;
      const start = match.index + match[0].lastIndexOf(secret);
      ranges.push([start, start + secret.length]);
    }
  }
  return ranges;
}

function literalRanges(text: string, secrets: readonly string[]): Range[] {
  const ranges: Range[] = [];
  for (const secret of secrets) {
    if (secret.length < SECRET_MIN_LENGTH) continue;
    let start = text.indexOf(secret);
    while (start !== -1) {
      ranges.push([start, start + secret.length]);
      start = text.indexOf(secret, start + secret.length);
    }
  }
  return ranges;
}

/** Returns `text` from `from` on, each run of overlapping or touching ranges replaced by one mark. */
export function mask(text: string, ranges: Range[], from = 0): string {
  let masked = '';
  let done = from;
  for (const [start, end] of ranges.sort((a, b) => a[0] - b[0])) {
    if (end <= done || start === end) continue;
    if (start > done || masked === '') masked += text.slice(done, start) + REDACTED;
    done = end;
  }
  return masked + text.slice(done);
}
