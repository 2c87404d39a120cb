// What is measured is what users run: the built package, its types taken from the sources.
import { fileURLToPath } from 'node:url';

/** Where the main entry is, for processes of their own. */
export const MAIN_ENTRY = new URL('../dist/index.js', import.meta.url).href;

export const { createSupervisor } = (await import(MAIN_ENTRY)) as typeof import('../src/index.ts');

const SERVICE_ENTRY = new URL('../dist/service/index.js', import.meta.url).href;

export const { defineService } = (await import(
  SERVICE_ENTRY
)) as typeof import('../src/service/index.ts');

const OTEL_ENTRY = new URL('../dist/otel/index.js', import.meta.url).href;

export const { instrument } = (await import(OTEL_ENTRY)) as typeof import('../src/otel/index.ts');

const DOCTOR_ENTRY = new URL('../dist/doctor/index.js', import.meta.url).href;

export const { doctor } = (await import(DOCTOR_ENTRY)) as typeof import('../src/doctor/index.ts');

/** The command, for processes of its own. */
export const COMMAND = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** Where the daemon's entry is, for processes of their own. */
export const DAEMON_ENTRY = new URL('../dist/daemon/index.js', import.meta.url).href;
