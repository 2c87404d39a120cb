/** Why a command cannot be carried out: one line, and how the process ends. */
export class Refusal extends Error {
  /** @default what the command says when it cannot be carried out */
  readonly exitCode: number | undefined;

  constructor(message: string, exitCode?: number) {
    super(message);
    this.exitCode = exitCode;
  }
}
