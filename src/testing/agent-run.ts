import { answerControl, type InputFrame, textOf } from './agent-controls.ts';
import { AgentFrames, type Frame, flag, type ResultFacts } from './agent-frames.ts';
import { type Decision, PermissionRequest, REJECTED } from './agent-permission.ts';
import type { AgentChild } from './agent-process.ts';
import { type AgentCall, type AgentScript, RunningScript } from './agent-script.ts';
import type {
  AgentStep,
  PermissionAnswer,
  StepOutcome,
  ToolOutcome,
  TurnEnd,
} from './agent-steps.ts';

type Step<D extends AgentStep['do']> = Extract<AgentStep, { do: D }>;

/** A call that its agent still adds to. */
interface OpenCall extends AgentCall {
  readonly prompts: string[];
  readonly received: Frame[];
  readonly permissions: PermissionAnswer[];
}

const NOBODY_TO_ASK = 'there is nobody to ask (no canUseTool)';

/** A running fake agent: it does the steps of its script turn by turn, and reads the host's frames. */
export class RunningAgent {
  readonly #process: AgentChild;
  readonly #call: OpenCall;
  readonly #frames: AgentFrames;
  readonly #script: AgentScript;
  readonly #pending: string[] = [];
  #permission: PermissionRequest | undefined;
  #running: RunningScript | undefined;
  #stdinEnded = false;
  #failed = false;
  #ids = 0;
  /** The open turn. */
  #turn: { said: string; rounds: number; denials: ResultFacts['denials'][number][] } | undefined;
  #interrupt: () => void = () => undefined;

  constructor(process: AgentChild, call: OpenCall, script: AgentScript) {
    this.#process = process;
    this.#call = call;
    this.#script = script;
    this.#frames = new AgentFrames(call.args, call.cwd ?? '');
  }

  /** Takes one line of stdin. */
  receive(line: string): void {
    const frame = JSON.parse(line) as InputFrame & Frame;
    this.#call.received.push(frame);
    if (frame.type === 'control_request') this.#answer(frame);
    else if (frame.type === 'control_response') {
      this.#permission?.receive(frame.response);
    } else if (frame.type === 'user') {
      const text = textOf(frame.message?.content);
      this.#call.prompts.push(text);
      this.#pending.push(text);
      if (this.#turn === undefined) void this.#work();
    }
  }

  /** Takes the end of stdin. */
  receiveEnd(): void {
    this.#stdinEnded = true;
    if (this.#turn === undefined) this.#exit();
  }

  /** Answers prompts until none is pending. */
  async #work(): Promise<void> {
    while (this.#pending.length > 0 && !this.#process.isOver) {
      this.#pending.shift();
      this.#turn = { said: '', rounds: 1, denials: [] };
      this.#write(this.#frames.state('running'), this.#frames.init());
      try {
        await this.#doTurn(this.#turn);
      } catch (error) {
        // An error of the script is a crash of its agent.
        this.#process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
        this.#process.exit(1, null);
      }
      this.#write(this.#frames.state('idle'));
      this.#turn = undefined;
    }
    if (this.#stdinEnded) this.#exit();
  }

  async #doTurn(turn: { said: string }): Promise<void> {
    const interrupted = new Promise<'interrupted'>((resolve) => {
      this.#interrupt = () => resolve('interrupted');
    });
    const isRepeated = this.#running !== undefined;
    this.#running ??= new RunningScript(
      typeof this.#script === 'function' ? this.#script(this.#call) : this.#script,
      this.#process.stdout,
    );
    let outcome: StepOutcome;
    for (let first = true; ; first = false) {
      const next = await this.#running.next(outcome, interrupted);
      if (next === 'interrupted') return this.#endInterrupted();
      const { done, value } = next;
      if (done && first && isRepeated) {
        return this.#fail(`The script has no answer to prompt ${this.#call.prompts.length}.`, 400);
      }
      if (done) return this.#end({ text: turn.said });
      const stepOutcome = await Promise.race([interrupted, this.#do(value)]);
      if (stepOutcome === 'interrupted') return this.#endInterrupted();
      if (stepOutcome === 'over' || this.#process.isOver) return;
      outcome = stepOutcome;
    }
  }

  /** Does one step; returns `over` if it ends the turn. */
  async #do(step: AgentStep): Promise<StepOutcome | 'over'> {
    switch (step.do) {
      case 'say':
        this.#say(step.text);
        return undefined;
      case 'useTool':
        this.#finishTool(this.#callTool(step), step);
        return undefined;
      case 'askPermission':
        return this.#askPermission(step);
      case 'result':
        this.#end(step);
        return 'over';
      case 'fail':
        this.#fail(step.message, step.status);
        return 'over';
      case 'send':
        this.#write(this.#frames.stamp(step.frame));
        return undefined;
      case 'complain':
        this.#process.stderr.write(step.text);
        return undefined;
      case 'hang':
        this.#process.ignoresSigterm = step.ignoresSigterm;
        return new Promise(() => undefined);
      case 'exit':
        this.#process.exit(step.code, null);
        return 'over';
      case 'crash':
        this.#process.exit(null, step.signal);
        return 'over';
    }
  }

  #say(text: string): void {
    const id = this.#nextId('msg');
    const isPartial = this.#call.args.includes('--include-partial-messages');
    const { open, close } = this.#frames.partial(text, id);
    const message = this.#frames.assistant([{ type: 'text', text }], id);
    this.#write(...(isPartial ? [...open, message, ...close] : [message]));
    if (this.#turn) this.#turn.said = text;
  }

  /** Writes a tool call, and returns its id. */
  #callTool({ name, input }: Step<'useTool'> | Step<'askPermission'>): string {
    const id = this.#nextId('toolu');
    this.#write(
      this.#frames.assistant([{ type: 'tool_use', id, name, input }], this.#nextId('msg')),
    );
    return id;
  }

  #finishTool(
    id: string,
    { output = '', isError = false }: ToolOutcome,
    error = `Error: ${output}`,
  ): void {
    const result = {
      type: 'tool_result',
      tool_use_id: id,
      content: output,
      ...(isError ? { is_error: true } : {}),
    };
    // Only for errors: the structured result of each real tool has a shape of its own.
    this.#write(this.#frames.user([result], isError ? { tool_use_result: error } : {}));
    if (this.#turn) this.#turn.rounds++;
  }

  async #askPermission(step: Step<'askPermission'>): Promise<PermissionAnswer> {
    const id = this.#callTool(step);
    const decision = await this.#decide(step, id);
    const input = decision.updatedInput ?? step.input;
    const answer: PermissionAnswer =
      decision.behavior === 'allow'
        ? { tool: step.name, behavior: 'allow', input }
        : { tool: step.name, behavior: 'deny', input: step.input, message: decision.message ?? '' };
    this.#call.permissions.push(answer);
    if (answer.behavior === 'allow') this.#finishTool(id, step);
    else this.#deny(step, id, answer.message ?? '');
    return answer;
  }

  #deny({ name, input }: Step<'askPermission'>, id: string, output: string, error?: string): void {
    this.#turn?.denials.push({ tool_name: name, tool_use_id: id, tool_input: input });
    this.#finishTool(id, { output, isError: true }, error);
  }

  async #decide(step: Step<'askPermission'>, toolUseId: string): Promise<Decision> {
    const { name } = step;
    if (this.#frames.permissionMode === 'bypassPermissions') return { behavior: 'allow' };
    if (flag(this.#call.args, '--permission-prompt-tool') === undefined) {
      const message = `Permission to use ${name} was not granted: ${NOBODY_TO_ASK}.`;
      this.#write(this.#frames.permissionDenied(name, toolUseId, message));
      return { behavior: 'deny', message };
    }
    this.#permission = new PermissionRequest(step, toolUseId);
    this.#write(this.#frames.state('requires_action'), this.#permission.frame);
    const decision = await this.#permission.decided;
    this.#permission = undefined;
    this.#write(this.#frames.state('running'));
    return decision;
  }

  #end(end: TurnEnd): void {
    const { error } = end;
    const stopReason =
      error === undefined ? 'end_turn' : error === 'error_max_turns' ? 'tool_use' : null;
    this.#writeResult({ text: this.#turn?.said ?? '', ...end, stopReason });
  }

  #fail(message: string, status: number): void {
    const text = `API Error: ${status} ${message}`;
    const error = { error: 'unknown', is_api_error_message: true, api_error_status: status };
    this.#write(this.#frames.assistant([{ type: 'text', text }], this.#nextId('msg'), error));
    this.#writeResult({ text, apiError: status, stopReason: 'stop_sequence' });
  }

  #endInterrupted(): void {
    const asked = this.#permission;
    this.#permission = undefined;
    this.#process.ignoresSigterm = false;
    if (asked) {
      this.#write(asked.cancellation);
      this.#deny(asked.step, asked.toolUseId, REJECTED, 'User rejected tool use');
    }
    const text = `[Request interrupted by user${asked ? ' for tool use' : ''}]`;
    if (this.#turn) this.#turn.rounds++;
    this.#write(this.#frames.user([{ type: 'text', text }]));
    this.#writeResult({
      ...{ error: 'error_during_execution', errors: [text] },
      ...(asked ? { stopReason: 'tool_use', reason: 'aborted_tools' } : { stopReason: null }),
    });
  }

  #writeResult(end: TurnEnd & Pick<ResultFacts, 'apiError' | 'reason' | 'stopReason'>): void {
    const { rounds: turns = 1, denials = [] } = this.#turn ?? {};
    this.#failed = end.error !== undefined || end.apiError !== undefined;
    this.#write(this.#frames.result({ ...end, turns, denials }));
  }

  #answer({ request_id, request = {} }: InputFrame): void {
    const { response, following = [] } = answerControl(request, this.#frames, this.#process.pid);
    this.#write({ type: 'control_response', response: { ...response, request_id } }, ...following);
    if (request.subtype === 'interrupt') this.#interrupt();
  }

  /** Exits as the real agent does at the end of its stdin. */
  #exit(): void {
    this.#process.exit(this.#failed ? 1 : 0, null);
  }

  #write(...frames: readonly object[]): void {
    for (const frame of frames) this.#process.write(frame);
  }

  #nextId(kind: string): string {
    return `${kind}_fake${String(++this.#ids).padStart(6, '0')}`;
  }
}
