import type { Terminal } from '../os/terminal.ts';
import type { Arguments } from './arguments.ts';

/** Runs a command; resolves to the exit code. */
export type Command = (args: Arguments, terminal: Terminal) => Promise<number>;
