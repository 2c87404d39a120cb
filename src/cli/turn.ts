import type { Os } from '../os/os.ts';

/** The time until the next look, which a key or the end of the command cuts short. */
export class Turn {
  readonly over: Promise<void>;
  end: () => void = () => undefined;

  constructor({ clock }: Pick<Os, 'clock'>, ended: AbortSignal, ms: number) {
    this.over = new Promise((resolve) => {
      const cancel = clock.after(ms, () => this.end(), { keepAlive: true });
      this.end = () => {
        cancel();
        ended.removeEventListener('abort', this.end);
        resolve();
      };
      if (ended.aborted) this.end();
      else ended.addEventListener('abort', this.end);
    });
  }
}
