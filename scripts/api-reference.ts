// One page of an entry's public names, from what API Extractor has read of their declarations.

/** An item of API Extractor's model, as far as it is used. */
export interface ApiItem {
  readonly kind: string;
  readonly name?: string;
  readonly docComment?: string;
  readonly excerptTokens?: readonly { readonly text: string }[];
  readonly members?: readonly ApiItem[];
}

/** In this order a reader looks for them. */
const GROUPS: readonly (readonly [title: string, kinds: readonly string[]])[] = [
  ['Functions', ['Function']],
  ['Classes', ['Class']],
  ['Values', ['Variable']],
  ['Types', ['Interface', 'TypeAlias', 'Enum']],
];
/** A short one is told apart from its members by them alone. */
const OF_A_CLASS = new Set(['Method', 'Property', 'Constructor']);

export function reference(title: string, model: ApiItem): string {
  const items = (model.members ?? []).flatMap(({ members = [] }) => members);
  const groups = GROUPS.flatMap(([heading, kinds]) => {
    const found = items.filter(({ kind }) => kinds.includes(kind));
    return found.length === 0 ? [] : [`## ${heading}`, ...found.flatMap(itemLines)];
  });
  const origin = `Made from the doc comments by \`npm run api\`; what may be imported from \`'${title}'\`.`;
  return `${[`# ${title}`, origin, ...groups].join('\n\n')}\n`;
}

function itemLines(item: ApiItem): string[] {
  const { kind, name = '', docComment = '', members = [] } = item;
  const lines = [`### ${name}`, ...prose(docComment)];
  if (kind === 'Interface') return [...lines, code(interfaceText(item))];
  if (kind !== 'Class') return [...lines, code(excerpt(item))];
  const parts = members.filter((member) => OF_A_CLASS.has(member.kind));
  return [...lines, ...parts.flatMap((part) => [...partLines(name, part)])];
}

function partLines(owner: string, part: ApiItem): string[] {
  const name = part.kind === 'Constructor' ? `new ${owner}` : `${owner}.${part.name}`;
  return [`#### ${name}`, ...prose(part.docComment ?? ''), code(excerpt(part))];
}

/** An interface as it would be written, with the words on its fields. */
function interfaceText({ excerptTokens = [], members = [] }: ApiItem): string {
  const head = excerptTokens
    .map(({ text }) => text)
    .join('')
    .trim();
  const fields = members.map((member) => {
    const text = tidy(member.docComment ?? '').join(' ');
    const comment = text === '' ? '' : `  /** ${text} */\n`;
    return `${comment}  ${indented(excerpt(member))}`;
  });
  return `${head.replace(/^export (?:declare )?/, '')} {\n${fields.join('\n')}\n}`;
}

function excerpt({ excerptTokens = [] }: ApiItem): string {
  const text = excerptTokens
    .map((token) => token.text)
    .join('')
    .trim();
  return text.replace(/^export (?:declare )?/, '');
}

function indented(text: string): string {
  return text.replaceAll('\n', '\n  ');
}

/** A doc comment as paragraphs: its sentences, what it throws and returns, its example. */
function prose(comment: string): string[] {
  const { text, example } = split(comment);
  return [...tidy(text), ...(example === '' ? [] : [example])];
}

function split(comment: string): { text: string; example: string } {
  const body = comment.replace(/^\/\*\*\n?|\n? ?\*\/\n?$/g, '').replace(/^ \* ?/gm, '');
  const at = body.indexOf('@example');
  if (at === -1) return { text: body, example: '' };
  return { text: body.slice(0, at), example: body.slice(at + '@example'.length).trim() };
}

function tidy(text: string): string[] {
  const plain = text
    .replace(/^\/\*\*\n?|\n? ?\*\/\n?$/g, '')
    .replace(/^ \* ?/gm, '')
    .replace(/\{@link ([^|}]+?)(?: *\| *([^}]+))?\}/g, (_, name, shown) => `\`${shown ?? name}\``)
    .replace(/@(?:throws|remarks)\s+/g, '\n\nThrows: ')
    .replace(/@returns\s+/g, '\n\nReturns ')
    .replace(/@default(?:Value)?\s+/g, 'Default: ');
  return plain
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .filter((paragraph) => paragraph !== '');
}

function code(text: string): string {
  return `\`\`\`typescript\n${text}\n\`\`\``;
}
