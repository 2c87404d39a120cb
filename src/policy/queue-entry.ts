import type { SupervisorError } from '../errors.ts';

/** A place in a queue. It is answered once: with what was asked for, or with the reason against it. */
export abstract class QueueEntry<Granted> {
  #answer: Granted | SupervisorError | undefined;
  #listener: ((answer: Granted | SupervisorError) => void) | undefined;

  /** `undefined` while it waits. */
  get answer(): Granted | SupervisorError | undefined {
    return this.#answer;
  }

  /** Sets who is told, in the tick of the answer. */
  onAnswer(listener: (answer: Granted | SupervisorError) => void): void {
    this.#listener = listener;
  }

  /** Leaves the queue; nobody is told. */
  abstract leave(): void;

  protected settle(answer: Granted | SupervisorError): void {
    this.#answer = answer;
    this.#listener?.(answer);
  }
}
