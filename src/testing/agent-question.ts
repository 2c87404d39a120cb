import type { Heard } from './agent-controls.ts';
import type { Frame } from './agent-frames.ts';
import type { AgentStep } from './agent-steps.ts';

/** What a host says of a permission. */
export interface Decision {
  readonly behavior?: string;
  readonly message?: string;
  readonly updatedInput?: Readonly<Record<string, unknown>>;
}

/** What the real one tells its model of a tool when it is interrupted while it asks for it. */
export const REJECTED =
  "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed.";

/** A permission that the host is asked for, until it answers or the agent takes the question back. */
export class Question {
  readonly step: Extract<AgentStep, { do: 'askPermission' }>;
  readonly toolUseId: string;
  readonly decided: Promise<Decision>;
  readonly #decide: (decision: Decision) => void;
  readonly #requestId = crypto.randomUUID();

  constructor(step: Question['step'], toolUseId: string) {
    this.step = step;
    this.toolUseId = toolUseId;
    const { promise, resolve } = Promise.withResolvers<Decision>();
    this.decided = promise;
    this.#decide = resolve;
  }

  get request(): Frame {
    const { name, input, decisionReason, suggestions } = this.step;
    const request = {
      subtype: 'can_use_tool',
      tool_name: name,
      display_name: name,
      input,
      tool_use_id: this.toolUseId,
      ...(decisionReason === undefined ? {} : { decision_reason: decisionReason }),
      ...(suggestions === undefined ? {} : { permission_suggestions: suggestions }),
    };
    return { type: 'control_request', request_id: this.#requestId, request };
  }

  get cancellation(): Frame {
    return { type: 'control_cancel_request', request_id: this.#requestId };
  }

  /** Takes an answer, if it is one to this question. */
  hear({ request_id, response, error }: NonNullable<Heard['response']> = {}): void {
    if (request_id !== this.#requestId) return;
    const failed = { message: `Tool permission request failed: Error: ${error}` };
    this.#decide(error === undefined ? ((response ?? {}) as Decision) : failed);
  }
}
