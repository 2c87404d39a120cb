// A terminal's screen as an SVG: text that can be read, searched and scaled, in a frame.

interface Style {
  readonly bold: boolean;
  readonly dim: boolean;
  readonly color: string | undefined;
}

interface Run {
  readonly text: string;
  readonly style: Style;
  readonly column: number;
}

const PLAIN: Style = { bold: false, dim: false, color: undefined };
const [CELL_WIDTH, LINE_HEIGHT, PADDING, BAR_HEIGHT] = [8.4, 18, 16, 32];
const COLORS = [
  '#484f58',
  '#ff7b72',
  '#7ee787',
  '#e3b341',
  '#79c0ff',
  '#d2a8ff',
  '#56d4dd',
  '#e6edf3',
];
const [TEXT_COLOR, DIM_COLOR, BACKGROUND, BAR] = ['#e6edf3', '#8b949e', '#0d1117', '#161b22'];

/** Draws what `tmux capture-pane -e -p` prints. */
export function terminalSvg(screen: string, title: string, columns: number): string {
  const lines = screen.replace(/\s+$/, '').split('\n');
  const width = Math.ceil(columns * CELL_WIDTH + 2 * PADDING);
  const height = BAR_HEIGHT + lines.length * LINE_HEIGHT + 2 * PADDING;
  let style = PLAIN;
  const rows = lines.map((line, row) => {
    const y = BAR_HEIGHT + PADDING + (row + 0.8) * LINE_HEIGHT;
    const { runs, style: next } = runsOf(line, style);
    style = next;
    return runs.map((run) => textOf(run, y));
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>`,
    `<path d="M0 8a8 8 0 0 1 8-8h${width - 16}a8 8 0 0 1 8 8v${BAR_HEIGHT - 8}H0z" fill="${BAR}"/>`,
    `<text x="${width / 2}" y="21" text-anchor="middle" font-family="system-ui,sans-serif" font-size="13" fill="${DIM_COLOR}">${escaped(title)}</text>`,
    '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14" xml:space="preserve">',
    ...rows.flat(),
    '</g>',
    '</svg>',
  ].join('\n')}\n`;
}

function textOf({ text, style, column }: Run, y: number): string {
  const fill = style.color ?? (style.dim ? DIM_COLOR : TEXT_COLOR);
  const weight = style.bold ? ' font-weight="600"' : '';
  const x = PADDING + column * CELL_WIDTH;
  // Told how long it is, so that columns stand under each other in every font.
  const length = [...text].length * CELL_WIDTH;
  return `<text x="${round(x)}" y="${round(y)}" textLength="${round(length)}" fill="${fill}"${weight}>${escaped(text)}</text>`;
}

/** A line's parts of one style each, without the blanks between them; and the style that the next line begins with. */
function runsOf(line: string, before: Style): { runs: Run[]; style: Style } {
  const runs: Run[] = [];
  let style = before;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what begins a style.
  for (const part of line.split(/(\x1b\[[\d;]*m)/)) {
    if (part.startsWith('\x1b')) {
      for (const code of part.slice(2, -1).split(';')) style = styled(style, Number(code));
      continue;
    }
    for (const word of part.split(/( {2,})/)) {
      const blanks = word.length - word.trimStart().length;
      if (word.trim() !== '') runs.push({ text: word.trim(), style, column: column + blanks });
      column += [...word].length;
    }
  }
  return { runs, style };
}

/** ECMA-48, as far as the command uses it. */
function styled(style: Style, code: number): Style {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, color: undefined };
  const index = code >= 90 ? code - 90 : code - 30;
  return index >= 0 && index < COLORS.length ? { ...style, color: COLORS[index] } : style;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}
