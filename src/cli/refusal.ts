/** A command that cannot be run: the reason in one line, and the exit code. */
export class Refusal extends Error {
  /** @default the command's own code for a failure: 125 for `run`, 2 for others */
  readonly exitCode: number | undefined;

  constructor(message: string, exitCode?: number) {
    super(message);
    this.exitCode = exitCode;
  }
}
