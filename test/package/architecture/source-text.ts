/** A keyword after which a slash begins a regular expression, not a division. */
const BEFORE_REGEX = /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|await|yield)$/;

/**
 * Blanks comments and the contents of strings, so that what is left can be searched as code.
 *
 * The result has the length and the line breaks of `source`: an offset in one is an offset in the
 * other. Comments become spaces; the characters of strings, templates and regular expressions
 * become `_` between their delimiters; `${…}` in a template stays code.
 */
export function maskSource(source: string): string {
  const out = source.split('');
  const blank = (from: number, to: number, filler: ' ' | '_'): void => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = filler;
  };
  /** Depth of braces inside each template expression that is open. */
  const templates: number[] = [];
  let code = '';
  let at = 0;

  const skipComment = (end: number): void => {
    blank(at, end, ' ');
    at = end;
  };
  const skipLiteral = (end: number): void => {
    blank(at + 1, end - 1, '_');
    code += '""';
    at = end;
  };
  const skipTemplate = (): void => {
    const { end, opensExpression } = endOfTemplate(source, at + 1);
    blank(at + 1, opensExpression ? end - 2 : end - 1, '_');
    if (opensExpression) templates.push(0);
    code += opensExpression ? '(' : '""';
    at = end;
  };

  while (at < source.length) {
    const char = source.charAt(at);
    const depth = templates.at(-1);
    if (source.startsWith('//', at)) skipComment(endOf(source, '\n', at));
    else if (source.startsWith('/*', at)) skipComment(endOf(source, '*/', at + 2) + 2);
    else if (char === "'" || char === '"') skipLiteral(endOfString(source, at));
    else if (char === '`') skipTemplate();
    else if (char === '}' && depth === 0) {
      templates.pop();
      skipTemplate();
    } else if (char === '/' && beginsRegex(code)) skipLiteral(endOfRegex(source, at));
    else {
      if (depth !== undefined && char === '{') templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === '}') templates[templates.length - 1] = depth - 1;
      code = (code + char).slice(-40);
      at++;
    }
  }
  return out.join('').slice(0, source.length);
}

/** Counts the lines that hold code: neither blank nor only comment. */
export function countCodeLines(source: string): number {
  return maskSource(source)
    .split('\n')
    .filter((line) => line.trim() !== '').length;
}

function endOf(source: string, text: string, from: number): number {
  const index = source.indexOf(text, from);
  return index === -1 ? source.length : index;
}

function beginsRegex(code: string): boolean {
  const before = code.trimEnd();
  return before === '' || /[(,=:[!&|?{};+\-*%<>~^]$/.test(before) || BEFORE_REGEX.test(before);
}

/** The offset after the closing quote; a string that never closes ends with its line. */
function endOfString(source: string, start: number): number {
  const quote = source.charAt(start);
  for (let i = start + 1; i < source.length; i++) {
    const char = source.charAt(i);
    if (char === '\\') i++;
    else if (char === quote) return i + 1;
    else if (char === '\n') return i;
  }
  return source.length;
}

function endOfRegex(source: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < source.length; i++) {
    const char = source.charAt(i);
    if (char === '\\') i++;
    else if (char === '\n') return i;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '/' && !inClass) return i + 1;
  }
  return source.length;
}

/** Where the literal part of a template ends: after its backtick, or after the `${` of an expression. */
function endOfTemplate(source: string, from: number): { end: number; opensExpression: boolean } {
  for (let i = from; i < source.length; i++) {
    if (source.charAt(i) === '\\') i++;
    else if (source.charAt(i) === '`') return { end: i + 1, opensExpression: false };
    else if (source.startsWith('${', i)) return { end: i + 2, opensExpression: true };
  }
  return { end: source.length, opensExpression: false };
}
