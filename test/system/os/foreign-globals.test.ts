// A DOM in a test runner (happy-dom, jsdom) replaces globals by classes that Node's own functions
// refuse.
import { afterEach, expect } from 'vitest';
import { CAN_WATCH, it } from '../../../kit/supervised.ts';

const { AbortController: own } = globalThis;

afterEach(() => {
  globalThis.AbortController = own;
});

/** Not an EventTarget, so Node cannot listen to it. */
class ForeignController {
  readonly signal = { aborted: false, addEventListener: () => undefined };
  abort(): void {
    this.signal.aborted = true;
  }
}

it.runIf(CAN_WATCH)(
  'starts and ends a process beside a foreign AbortController',
  async ({ supervise }) => {
    globalThis.AbortController = ForeignController as unknown as typeof AbortController;
    const supervisor = supervise();
    const process = supervisor.spawn({ command: 'sh', args: ['-c', 'echo hi; exec sleep 300'] });
    await process.started;
    expect(globalThis.AbortController).toBe(ForeignController);
    await supervisor.stop();
    expect(await process.exited).toMatchObject({ cause: 'shutdown', leftovers: [] });
  },
);
