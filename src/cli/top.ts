import type { ProcessHealth } from '../inspect/report.ts';
import { safeJson } from '../inspect/safe-json.ts';
import { sleep } from '../os/clock.ts';
import type { Terminal } from '../os/terminal.ts';
import { durationOf } from './arguments.ts';
import type { Command } from './command.ts';
import { bytes, counted, painter } from './paint.ts';
import { fit } from './plain.ts';
import { Refusal } from './refusal.ts';
import { findRegistry, type Registry } from './registry.ts';
import { listLines, takeView, type View } from './view.ts';

const INTERVAL_MS = 1000;
const MIN_INTERVAL_MS = 100;

/** Switches to the terminal's alternate screen without a cursor, and back. */
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
/** Moves to the top left corner; clears the rest of the line, and all lines below. */
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

const ORDERS = {
  cpu: ({ cpuPercent }: ProcessHealth) => cpuPercent ?? -1,
  memory: ({ rssBytes }: ProcessHealth) => rssBytes ?? -1,
  age: ({ ageMs }: ProcessHealth) => ageMs,
} as const;
type Order = keyof typeof ORDERS;

export const run: Command = async (args, terminal) => {
  const sort = args.text('sort') ?? 'cpu';
  if (!Object.hasOwn(ORDERS, sort))
    throw new Refusal(`--sort is "${sort}", but must be cpu, memory or age.`);
  const intervalMs = durationOf('interval', args.text('interval'), MIN_INTERVAL_MS) ?? INTERVAL_MS;
  const registry = findRegistry(args);
  if (args.json) return printViews(registry, intervalMs, terminal);
  if (!terminal.hasPages)
    throw new Refusal(
      'top needs a terminal that lines can be written over on. "agent-supervisor ps" prints once, and top --json a line for each look.',
    );
  return new Screen(registry, terminal, intervalMs, sort as Order).show();
};

async function printViews(
  registry: Registry,
  intervalMs: number,
  terminal: Terminal,
): Promise<number> {
  while (!terminal.ended.aborted) {
    terminal.stdout.write(`${safeJson(await takeView(registry))}\n`);
    await sleep(intervalMs, registry.os.clock, terminal.ended);
  }
  return 0;
}

class Screen {
  readonly #registry: Registry;
  readonly #terminal: Terminal;
  readonly #intervalMs: number;
  #order: Order;
  #view: View = { at: 0, owners: [], processes: [], machineSlots: [] };
  #wake = new AbortController();

  constructor(registry: Registry, terminal: Terminal, intervalMs: number, order: Order) {
    this.#registry = registry;
    this.#terminal = terminal;
    this.#intervalMs = intervalMs;
    this.#order = order;
  }

  async show(): Promise<number> {
    const { stdout, ended } = this.#terminal;
    const offs = [
      this.#terminal.onKey((key) => this.#press(key)),
      this.#terminal.onResize(() => this.#draw()),
      ...(['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map((signal) =>
        this.#registry.os.onSignal(signal, () => this.#terminal.end()),
      ),
    ];
    stdout.write(ENTER);
    try {
      while (!ended.aborted) {
        this.#view = await takeView(this.#registry);
        this.#draw();
        this.#wake = new AbortController();
        const signal = AbortSignal.any([ended, this.#wake.signal]);
        await sleep(this.#intervalMs, this.#registry.os.clock, signal);
      }
    } finally {
      stdout.write(LEAVE);
      for (const off of offs) off();
    }
    return 0;
  }

  #press(key: string): void {
    // In raw mode, Ctrl-C arrives as a key.
    if (key === 'q' || key === '\x03' || key === '\x1b') this.#terminal.end();
    else if (key === 'c') this.#sort('cpu');
    else if (key === 'm') this.#sort('memory');
    else if (key === 'a') this.#sort('age');
    else if (key === ' ') this.#wake.abort();
  }

  #sort(order: Order): void {
    this.#order = order;
    this.#draw();
  }

  #draw(): void {
    const { stdout, hasColor } = this.#terminal;
    const { columns, rows } = this.#terminal.size();
    const paint = painter(hasColor);
    const rank = ORDERS[this.#order];
    const { owners, processes } = this.#view;
    const alive = processes.filter(({ identity }) => identity === 'alive');
    const sorted = alive.toSorted((a, b) => rank(b) - rank(a));
    const total = alive.reduce((sum, { rssBytes }) => sum + (rssBytes ?? 0), 0);
    const head = `${counted(owners.length, 'host')}, ${counted(alive.length, 'process', 'processes')}, ${bytes(total)}; by ${this.#order} (c m a), q quits`;
    const lines = [paint('bold', fit(head, columns)), '', ...listLines(sorted, paint, columns)];
    const shown = lines.slice(0, rows).map((line) => `${line}${CLEAR_LINE}`);
    stdout.write(`${HOME}${shown.join('\r\n')}${CLEAR_BELOW}`);
  }
}
