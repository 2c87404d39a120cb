// Log lines that scroll above a table that stays: in place on a terminal, a snapshot now and then elsewhere.
import type { WriteStream } from 'node:tty';

const SNAPSHOT_EVERY_MS = 5_000;

export class Screen {
  readonly #out: NodeJS.WriteStream;
  readonly #beganMs = performance.now();
  #table: readonly string[] = [];
  #drawnLines = 0;
  #snapshotAtMs = performance.now() + SNAPSHOT_EVERY_MS;

  constructor(out: NodeJS.WriteStream & Partial<WriteStream>) {
    this.#out = out;
  }

  /** A line that stays, with the time since the start. */
  log(line: string): void {
    const stamp = `${((performance.now() - this.#beganMs) / 1000).toFixed(1).padStart(5)} s`;
    this.#replace(`${stamp}  ${line}\n`, this.#table);
  }

  /** Shows the table as it is now. */
  draw(table: readonly string[]): void {
    this.#table = table;
    if (this.#out.isTTY) this.#replace('', table);
    else if (performance.now() >= this.#snapshotAtMs) {
      this.#snapshotAtMs = performance.now() + SNAPSHOT_EVERY_MS;
      this.#out.write(`\n${table.map((line) => `  ${line}\n`).join('')}\n`);
    }
  }

  /** Leaves the table where it is; from now on only plain lines. */
  end(lines: readonly string[]): void {
    this.#drawnLines = 0;
    this.#table = [];
    this.#out.write(`\n${lines.map((line) => `${line}\n`).join('')}`);
  }

  #replace(above: string, table: readonly string[]): void {
    if (!this.#out.isTTY) {
      this.#out.write(above);
      return;
    }
    // A line that wraps would count twice on the way up.
    const width = (this.#out.columns ?? 80) - 1;
    const rows = table.map((line) => `${line.slice(0, width)}\n`);
    if (rows.length > 0) rows.unshift('\n');
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A\x1b[J` : '';
    this.#out.write(up + above + rows.join(''));
    this.#drawnLines = rows.length;
  }
}
