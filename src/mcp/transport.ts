import type { Stream } from 'node:stream';
import { getSupervisor, type SupervisedProcess, SupervisorError } from '../index.ts';
import { callHost } from '../os/call-host.ts';
import { systemClock } from '../os/clock.ts';
import { LATE, within } from '../os/wait.ts';
import { type Channel, channelOf, type Party } from './channel.ts';
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
import { StderrOutlet } from './stderr.ts';

/** How long the end of a server may take that was only asked for its protocol: a client waits for it. */
const QUESTION_END_MS = 2000;

/** How long the last words of a dead server may take to their file. */
const WRITTEN_MS = 5000;

/** How long `onclose` waits for the report of a server that exited: its leftovers may take longer. */
const REPORT_MS = 1000;

/** Declared as a method is, so that a handler may take the SDK's own message type. */
type MessageHandler = {
  handle(message: JsonRpcMessage, extra?: unknown): void;
}['handle'];

/**
 * A transport for a client of the MCP SDK, 1.x or 2.x, whose server is a supervised process: it takes no
 * slot, works for its session, and is really gone, with all that it has started, once `close` has resolved.
 *
 * With `{ service }` it talks to a server that others own, and leaves it running.
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
  /** Called once, when the server has ended or the transport was closed, whichever comes first. */
  onclose?: (() => void) | undefined;
  /**
   * Called for what stops nothing by itself: a line that is no message, a handler that throws, survivors of
   * `close`. A server that exits is told here as `SERVER_EXITED`, before `onclose`.
   */
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: MessageHandler | undefined;
  readonly #parameters: CheckedParameters;
  readonly #stderr: StderrOutlet;
  readonly #party: Party;
  #process: SupervisedProcess | undefined;
  #channel: Channel | undefined;
  #wasStarted = false;
  #isOver = false;
  #closing: Promise<void> | undefined;

  constructor(server: SupervisedStdioParameters | ServiceParameters) {
    this.#parameters = checkParameters(server);
    this.#stderr = new StderrOutlet(
      isServer(this.#parameters) ? this.#parameters.stderr : 'ignore',
    );
    this.#party = {
      message: (message) => this.#hand(message),
      unreadable: (error, isFatal) => {
        this.#report(error);
        if (isFatal) void this.close();
      },
      closed: () => void this.#serverExited(),
    };
  }

  /**
   * Starts the server, or has its service do it. A client calls this itself, in `connect`.
   *
   * @throws SupervisorError why nothing was started; `ALREADY_RUNNING` at the second call and for a
   * service that another transport talks to; `ABORTED` if it was closed
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
      // Whoever closes it meanwhile ends what was started.
      if (this.#closing !== undefined) throw closed();
      this.#channel = channelOf(process);
      this.#channel.attach(this.#party, this.#parameters.maxBufferSize);
    } catch (error) {
      if (this.#closing !== undefined) throw closed(error);
      this.#report(error);
      this.#end();
      throw error;
    }
  }

  /**
   * Resolves when the server's pipe has room for more.
   *
   * @throws Error if there is no server any more, or none yet
   */
  async send(message: JsonRpcMessage, _options?: unknown): Promise<void> {
    if (this.#channel === undefined || this.#isOver)
      throw new Error(
        'Not connected: there is no server yet, or it has ended, or this transport was closed.',
      );
    await this.#channel.send(message);
  }

  /**
   * Ends the server and its whole tree by the supervisor's ladder, and resolves when they are seen dead;
   * whoever survives is named to `onerror`. A service is left running. Safe to call at any time, and again.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What the server says on its stderr, if that was set to `'pipe'` or `'overlapped'`; there at once. */
  get stderr(): Stream | null {
    return this.#stderr.readable;
  }

  /** `null` unless its server runs. */
  get pid(): number | null {
    return this.#isOver ? null : (this.#process?.pid ?? null);
  }

  /** The server's process, whose `exited` tells how it ended and what it said last; `undefined` until it was started. */
  get process(): SupervisedProcess | undefined {
    return this.#process;
  }

  /** @internal With `_dispose`, what a client of the SDK 2.x looks for: it asks a server that it makes for that which protocol they speak. */
  get _serverParams(): CheckedParameters {
    return this.#parameters;
  }

  /** @internal */
  _dispose(): Promise<void> {
    this.#closing ??= this.#close(QUESTION_END_MS);
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
    const { os } = supervisor.internals;
    const process = supervisor.spawn({
      ...request,
      env: { ...safeEnvironment(os.environment(), os.platform), ...env },
      slot: false,
    });
    this.#stderr.open(process.stderr, (error) => this.#report(error));
    return process;
  }

  /** A client drops its handlers with `onclose`, so the reason comes first. */
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

  #hand(message: JsonRpcMessage): void {
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
    this.#channel?.detach(this.#party);
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
