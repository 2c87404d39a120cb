import { EventEmitter } from 'node:events';

/** As much of Electron's `app` as main.ts uses, so that it runs under plain Node. */
class App extends EventEmitter<{ 'before-quit': [{ preventDefault(): void }] }> {
  async whenReady(): Promise<void> {}

  quit(): void {
    let isPrevented = false;
    this.emit('before-quit', {
      preventDefault: () => {
        isPrevented = true;
      },
    });
    if (!isPrevented) process.exit();
  }
}

export const app = new App();
process.on('SIGTERM', () => app.quit()); // as Electron does
