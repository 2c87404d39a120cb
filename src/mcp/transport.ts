import type { Stream } from 'node:stream';
import { getSupervisor, type SupervisedProcess, SupervisorError } from '../index.ts';
import { callHost } from '../os/call-host.ts';
import { systemClock } from '../os/clock.ts';
import { LATE, within } from '../os/wait.ts';
import { type Channel, type ChannelUser, channelOf } from './channel.ts';
import { safeEnvironment } from './environment.ts';
import { serverExited } from './exit.ts';
import type { JsonRpcMessage } from './messages.ts';
import {
  type CheckedParameters,
  type CheckedServer,
  checkParameters,
  type ServiceParameters,
  type SupervisedStdioParameters,
} from './parameters.ts';
import { StderrForwarder } from './stderr.ts';

/** Longest end of a server that was started only to ask for its protocol: a client waits for it. */
const PROBE_END_MS = 2000;

/** Longest wait until the last stderr of a dead server is written. */
const WRITTEN_MS = 5000;

/** Longest wait for the report of a server that exited: the end of its leftovers may take longer. */
const REPORT_MS = 1000;

// Declared as a method, so that a handler may take the SDK's own message type (parameter bivariance).
type MessageHandler = {
  handle(message: JsonRpcMessage, extra?: unknown): void;
}['handle'];

/**
 * A transport for clients of the MCP SDK, 1.x or 2.x, whose server is a supervised process.
 *
 * The server takes no slot and belongs to its session. Once `close` has resolved, its whole process tree
 * is dead. With `{ service }` the transport uses a running service, and leaves it running.
 *
 * @throws SupervisorError `INVALID_OPTIONS`
 *
 * @example
 * ```ts
 * const transport = new SupervisedStdioTransport({ command: 'npx', args: ['my-server'], sessionId });
 * await client.connect(transport);
 * ```
 */
export class SupervisedStdioTransport {
  /** Called once, when the server has exited or the transport was closed, whichever comes first. */
  onclose?: (() => void) | undefined;
  /**
   * Called for a line that is no message, for a handler that throws, and for survivors of `close`. When
   * the server exits, it gets a `SERVER_EXITED` before `onclose` is called.
   */
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: MessageHandler | undefined;
  readonly #parameters: CheckedParameters;
  readonly #stderr: StderrForwarder;
  readonly #user: ChannelUser;
  #process: SupervisedProcess | undefined;
  #channel: Channel | undefined;
  #wasStarted = false;
  #isOver = false;
  #closing: Promise<void> | undefined;

  constructor(server: SupervisedStdioParameters | ServiceParameters) {
    this.#parameters = checkParameters(server);
    this.#stderr = new StderrForwarder(
      isServer(this.#parameters) ? this.#parameters.stderr : 'ignore',
    );
    this.#user = {
      message: (message) => this.#deliver(message),
      unreadable: (error, isFatal) => {
        this.#report(error);
        if (isFatal) void this.close();
      },
      closed: () => void this.#serverExited(),
    };
  }

  /**
   * Starts the server, or makes its service start it. A client calls this itself, in `connect`.
   *
   * @throws SupervisorError if nothing was started; `ALREADY_RUNNING` for a second call, and for a
   * service that another transport uses; `ABORTED` if the transport was closed
   */
  async start(): Promise<void> {
    if (this.#closing !== undefined) throw closed();
    if (this.#wasStarted) {
      const advice =
        "A client's connect() calls it by itself; a new connection takes a new transport.";
      throw new SupervisorError('ALREADY_RUNNING', `This transport was started already. ${advice}`);
    }
    this.#wasStarted = true;
    try {
      const process = await this.#begin();
      await process.started;
      // close() ends the server that was started meanwhile.
      if (this.#closing !== undefined) throw closed();
      this.#channel = channelOf(process);
      this.#channel.attach(this.#user, this.#parameters.maxBufferSize);
    } catch (error) {
      if (this.#closing !== undefined) throw closed(error);
      this.#report(error);
      this.#end();
      throw error;
    }
  }

  /**
   * Sends a message, and resolves when the server's pipe has room for more.
   *
   * @throws Error before the server has started, and after its exit
   */
  async send(message: JsonRpcMessage, _options?: unknown): Promise<void> {
    if (this.#channel === undefined || this.#isOver)
      throw new Error(
        'Not connected: there is no server yet, or it has ended, or this transport was closed.',
      );
    await this.#channel.send(message);
  }

  /**
   * Ends the server with its whole process tree, and resolves when they are dead.
   *
   * `onerror` gets the names of processes that survive. A service is left running. Safe to call at any
   * time, and more than once.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The server's stderr with `'pipe'` or `'overlapped'`, else `null`. Readable before the start. */
  get stderr(): Stream | null {
    return this.#stderr.readable;
  }

  /** The server's pid; `null` while it does not run. */
  get pid(): number | null {
    return this.#isOver ? null : (this.#process?.pid ?? null);
  }

  /**
   * The server's process; `undefined` before its start. Its `exited` resolves to a report with the cause
   * and the last lines of stderr.
   */
  get process(): SupervisedProcess | undefined {
    return this.#process;
  }

  /** @internal Clients of the SDK 2.x start a server with these to ask for its protocol, then call `_dispose`. */
  get _serverParams(): CheckedParameters {
    return this.#parameters;
  }

  /** @internal */
  _dispose(): Promise<void> {
    this.#closing ??= this.#close(PROBE_END_MS);
    return this.#closing;
  }

  async #begin(): Promise<SupervisedProcess> {
    const { service } = this.#parameters;
    this.#process = service === undefined ? this.#spawn(this.#parameters) : await service.ensure();
    return this.#process;
  }

  #spawn(server: CheckedServer): SupervisedProcess {
    const {
      supervisor = getSupervisor(),
      stderr,
      maxBufferSize,
      service,
      env,
      ...request
    } = server;
    const { os, spawnServer } = supervisor.internals;
    const process = spawnServer({
      ...request,
      env: { ...safeEnvironment(os.environment(), os.platform), ...env },
      slot: false,
    });
    this.#stderr.open(process.stderr, (error) => this.#report(error));
    return process;
  }

  /** Reports the exit before `onclose`, since a client drops its handlers with that. */
  async #serverExited(): Promise<void> {
    const process = this.#process;
    if (process !== undefined && this.#closing === undefined) {
      const report = await within(REPORT_MS, process.exited, systemClock.running);
      const known = report === LATE ? undefined : report;
      if (this.#closing === undefined) this.#report(serverExited(process, known));
    }
    this.#end();
  }

  async #close(deadlineMs?: number): Promise<void> {
    if (isServer(this.#parameters) && this.#process !== undefined) {
      await this.#terminate(this.#process, deadlineMs);
      await within(WRITTEN_MS, this.#stderr.written, systemClock.running);
    }
    this.#end();
  }

  async #terminate(process: SupervisedProcess, deadlineMs: number | undefined): Promise<void> {
    const reason = 'its transport was closed';
    const { survivors } = await process.terminate({ reason, deadlineMs });
    if (survivors.length === 0) return;
    const names = survivors.map(({ pid, command }) => `${command} (pid ${pid})`).join(', ');
    const advice = 'Sweeps go on trying to end them.';
    this.#report(new Error(`Still alive after the server was ended: ${names}. ${advice}`));
  }

  #deliver(message: JsonRpcMessage): void {
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(reason: unknown): void {
    const error = reason instanceof Error ? reason : new Error(String(reason));
    callHost(() => this.onerror?.(error));
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#channel?.detach(this.#user);
    this.#stderr.close();
    callHost(() => this.onclose?.());
  }
}

function isServer(parameters: CheckedParameters): parameters is CheckedServer {
  return parameters.service === undefined;
}

function closed(cause?: unknown): SupervisorError {
  return new SupervisorError(
    'ABORTED',
    'This transport was closed, and no server is started for it any more. Make a new one.',
    { cause },
  );
}
