/** A `NODE_OPTIONS` value without some of its options, and the names of those. */
export interface NodeOptions {
  /** The remaining options as they were written; `''` if none are left. */
  readonly rest: string;
  /** The names of the dropped options, without their values. */
  readonly dropped: readonly string[];
}

/** One word, as written and as Node reads it. */
interface Word {
  readonly written: string;
  readonly read: string;
}

const INSPECTOR = /^--(?:inspect(?:-brk|-wait|-port|-publish-uid|-brk-node)?|debug-port)$/;
/** Options whose value is the next word, unless it follows a `=`. */
const TAKES_VALUE = new Set(['--inspect-port', '--debug-port', '--inspect-publish-uid']);
const LOADS_MODULE = new Set(['--require', '-r', '--import']);
/**
 * VS Code's bootloader or a file that forwards to it (github.com/microsoft/vscode-js-debug
 * src/targets/node/nodeLauncherBase.ts).
 */
const BOOTLOADER = /js-debug.*[\\/-]bootloader(?:\.bundle)?\.js$/;

/** Removes the inspector's options and VS Code's bootloader from a `NODE_OPTIONS` value. */
export function withoutInspector(value: string): NodeOptions {
  const words = wordsOf(value);
  const rest: string[] = [];
  const dropped = new Set<string>();
  for (let i = 0; i < words.length; i++) {
    const { written, read } = words[i] as Word;
    const [left = '', inline] = read.split(/=(.*)/s);
    // Node accepts --inspect_brk as --inspect-brk.
    const name = left.startsWith('--') ? left.replaceAll('_', '-') : left;
    const next = inline ?? words[i + 1]?.read ?? '';
    const isLoader = LOADS_MODULE.has(name) && BOOTLOADER.test(next);
    if (!isLoader && !INSPECTOR.test(name)) {
      rest.push(written);
      continue;
    }
    dropped.add(name);
    if (inline === undefined && (isLoader || TAKES_VALUE.has(name))) i += 1;
  }
  // A value that loses no option stays unchanged to the letter.
  return { rest: dropped.size === 0 ? value : rest.join(' '), dropped: [...dropped] };
}

/**
 * Splits a value into words by Node's own rules (src/node_options.cc).
 *
 * Words end at spaces; within double quotes, `\` keeps the next character.
 */
function wordsOf(value: string): Word[] {
  return Array.from(value.matchAll(/(?:"(?:\\.|[^"\\])*"?|[^" ])+/gs), ([written]) => ({
    written,
    read: written.replace(/"((?:\\.|[^"\\])*)"?/gs, (_, quoted: string) =>
      quoted.replace(/\\(.)/gs, '$1'),
    ),
  }));
}
