import { answerControl, type Heard, textOf } from './agent-controls.ts';
import { AgentFrames, type Frame, flag, type ResultFacts } from './agent-frames.ts';
import type { FakeAgentProcess } from './agent-process.ts';
import {
  type AgentStep,
  iterate,
  type PermissionAnswer,
  type StepOutcome,
  type ToolOutcome,
  type TurnEnd,
} from './agent-steps.ts';
import type { AgentCall, AgentScript } from './fake-agent.ts';

type Step<D extends AgentStep['do']> = Extract<AgentStep, { do: D }>;

/** The call as its agent writes into it. */
interface OpenCall extends AgentCall {
  readonly prompts: string[];
  readonly received: Frame[];
  readonly permissions: PermissionAnswer[];
}

interface Decision {
  readonly behavior?: string;
  readonly message?: string;
  readonly updatedInput?: Readonly<Record<string, unknown>>;
}

const NOBODY_TO_ASK = 'there is nobody to ask (no canUseTool)';

/** One agent at work: turn by turn, it does what its script says, and hears what the host says meanwhile. */
export class RunningAgent {
  readonly #process: FakeAgentProcess;
  readonly #call: OpenCall;
  readonly #frames: AgentFrames;
  readonly #script: AgentScript;
  readonly #pending: string[] = [];
  readonly #answers = new Map<string, (decision: Decision) => void>();
  #steps: AsyncIterator<AgentStep, unknown, StepOutcome> | undefined;
  #stdinEnded = false;
  #failed = false;
  #ids = 0;
  /** The turn that is open. */
  #turn: { said: string; rounds: number; denials: ResultFacts['denials'][number][] } | undefined;
  #interrupt: () => void = () => undefined;

  constructor(process: FakeAgentProcess, call: OpenCall, script: AgentScript) {
    this.#process = process;
    this.#call = call;
    this.#script = script;
    this.#frames = new AgentFrames(call.args, call.cwd ?? '');
  }

  /** Takes one line of stdin. */
  hear(line: string): void {
    const heard = JSON.parse(line) as Heard & Frame;
    this.#call.received.push(heard);
    if (heard.type === 'control_request') this.#answer(heard);
    else if (heard.type === 'control_response') {
      const { request_id: id = '', response } = heard.response ?? {};
      this.#answers.get(id)?.((response ?? {}) as Decision);
    } else if (heard.type === 'user') {
      const text = textOf(heard.message?.content);
      this.#call.prompts.push(text);
      this.#pending.push(text);
      if (this.#turn === undefined) void this.#work();
    }
  }

  hearEnd(): void {
    this.#stdinEnded = true;
    if (this.#turn === undefined) this.#leave();
  }

  /** Answers prompts until there are none. */
  async #work(): Promise<void> {
    while (this.#pending.length > 0 && !this.#process.isOver) {
      this.#pending.shift();
      this.#turn = { said: '', rounds: 1, denials: [] };
      this.#write(this.#frames.state('running'), this.#frames.init());
      try {
        await this.#doTurn(this.#turn);
      } catch (error) {
        // A script that throws is an agent that crashes, and says why.
        this.#process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
        this.#process.exit(1, null);
      }
      this.#write(this.#frames.state('idle'));
      this.#turn = undefined;
    }
    if (this.#stdinEnded) this.#leave();
  }

  async #doTurn(turn: { said: string }): Promise<void> {
    const interrupted = new Promise<'interrupted'>((resolve) => {
      this.#interrupt = () => resolve('interrupted');
    });
    const isRepeated = this.#steps !== undefined;
    this.#steps ??= iterate(
      typeof this.#script === 'function' ? this.#script(this.#call) : this.#script,
    );
    let outcome: StepOutcome;
    for (let first = true; ; first = false) {
      const { done, value } = await this.#steps.next(outcome);
      if (done && first && isRepeated) {
        return this.#fail(`The script has no answer to prompt ${this.#call.prompts.length}.`, 400);
      }
      if (done) return this.#end({ text: turn.said });
      const deed = await Promise.race([interrupted, this.#do(value)]);
      if (deed === 'interrupted') return this.#endInterrupted();
      if (deed === 'over' || this.#process.isOver) return;
      outcome = deed;
    }
  }

  /** Does one step; `over` when nothing of the turn follows it. */
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

  /** Says that it calls a tool; returns the call's id. */
  #callTool({ name, input }: Step<'useTool'> | Step<'askPermission'>): string {
    const id = this.#nextId('toolu');
    this.#write(
      this.#frames.assistant([{ type: 'tool_use', id, name, input }], this.#nextId('msg')),
    );
    return id;
  }

  #finishTool(id: string, { output = '', isError = false }: ToolOutcome): void {
    const result = {
      type: 'tool_result',
      tool_use_id: id,
      content: output,
      ...(isError ? { is_error: true } : {}),
    };
    // What a tool tells its host beside that is of a shape of its own.
    this.#write(
      this.#frames.user([result], isError ? { tool_use_result: `Error: ${output}` } : {}),
    );
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
    else {
      this.#turn?.denials.push({ tool_name: step.name, tool_use_id: id, tool_input: step.input });
      this.#finishTool(id, { output: answer.message ?? '', isError: true });
    }
    return answer;
  }

  async #decide(step: Step<'askPermission'>, toolUseId: string): Promise<Decision> {
    const { name, input, decisionReason, suggestions } = step;
    if (this.#frames.permissionMode === 'bypassPermissions') return { behavior: 'allow' };
    if (flag(this.#call.args, '--permission-prompt-tool') === undefined) {
      const message = `Permission to use ${name} was not granted: ${NOBODY_TO_ASK}.`;
      this.#write(this.#frames.permissionDenied(name, toolUseId, message));
      return { behavior: 'deny', message };
    }
    const requestId = crypto.randomUUID();
    const decided = new Promise<Decision>((resolve) => this.#answers.set(requestId, resolve));
    const request = {
      subtype: 'can_use_tool',
      tool_name: name,
      display_name: name,
      input,
      tool_use_id: toolUseId,
      ...(decisionReason === undefined ? {} : { decision_reason: decisionReason }),
      ...(suggestions === undefined ? {} : { permission_suggestions: suggestions }),
    };
    this.#write(this.#frames.state('requires_action'), {
      type: 'control_request',
      request_id: requestId,
      request,
    });
    const decision = await decided;
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
    const text = '[Request interrupted by user]';
    this.#process.ignoresSigterm = false;
    if (this.#turn) this.#turn.rounds++;
    this.#write(this.#frames.user([{ type: 'text', text }]));
    this.#writeResult({ error: 'error_during_execution', errors: [text], stopReason: null });
  }

  #writeResult(end: TurnEnd & Pick<ResultFacts, 'apiError' | 'stopReason'>): void {
    const { rounds: turns = 1, denials = [] } = this.#turn ?? {};
    this.#failed = end.error !== undefined || end.apiError !== undefined;
    this.#write(this.#frames.result({ ...end, turns, denials }));
  }

  #answer({ request_id, request = {} }: Heard): void {
    const { response, following = [] } = answerControl(request, this.#frames, this.#process.pid);
    this.#write({ type: 'control_response', response: { ...response, request_id } }, ...following);
    if (request.subtype === 'interrupt') this.#interrupt();
  }

  /** Exits as the agent does when its stdin has ended and nothing is left to do. */
  #leave(): void {
    this.#process.exit(this.#failed ? 1 : 0, null);
  }

  #write(...frames: readonly object[]): void {
    for (const frame of frames) this.#process.write(frame);
  }

  #nextId(kind: string): string {
    return `${kind}_fake${String(++this.#ids).padStart(6, '0')}`;
  }
}
