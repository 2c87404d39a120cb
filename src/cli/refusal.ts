/** Why a command cannot be carried out: one line, and how the process ends. */
export class Refusal extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 2) {
    super(message);
    this.exitCode = exitCode;
  }
}
