/** The right to run one process; it ends when `release` is called, and further calls do nothing. */
export class Slot {
  #onRelease: (() => void) | undefined;
  #onStarted: (() => void) | undefined;

  /** `onStarted`: only where starts of its kind are bounded. */
  constructor(onRelease: () => void, onStarted?: () => void) {
    this.#onRelease = onRelease;
    this.#onStarted = onStarted;
  }

  /** True until `started`, where starts of its kind are bounded. */
  get isStarting(): boolean {
    return this.#onStarted !== undefined;
  }

  /** Lets the next one of its kind start. */
  started(): void {
    const onStarted = this.#onStarted;
    this.#onStarted = undefined;
    onStarted?.();
  }

  release(): void {
    this.started();
    const onRelease = this.#onRelease;
    this.#onRelease = undefined;
    onRelease?.();
  }
}
