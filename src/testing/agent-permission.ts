import type { InputFrame } from './agent-controls.ts';
import type { Frame } from './agent-frames.ts';
import type { AgentStep } from './agent-steps.ts';

/** The host's decision on a permission request. */
export interface Decision {
  readonly behavior?: string;
  readonly message?: string;
  readonly updatedInput?: Readonly<Record<string, unknown>>;
}

/** The tool result that the real agent sends its model when a permission request is interrupted. */
export const REJECTED =
  "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed.";

/** A permission request to the host, open until its answer or its cancellation. */
export class PermissionRequest {
  readonly step: Extract<AgentStep, { do: 'askPermission' }>;
  readonly toolUseId: string;
  readonly decided: Promise<Decision>;
  readonly #decide: (decision: Decision) => void;
  readonly #requestId = crypto.randomUUID();

  constructor(step: PermissionRequest['step'], toolUseId: string) {
    this.step = step;
    this.toolUseId = toolUseId;
    const { promise, resolve } = Promise.withResolvers<Decision>();
    this.decided = promise;
    this.#decide = resolve;
  }

  get frame(): Frame {
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

  /** Takes a response; ignores one to another request. */
  receive({ request_id, response, error }: NonNullable<InputFrame['response']> = {}): void {
    if (request_id !== this.#requestId) return;
    const failed = { message: `Tool permission request failed: Error: ${error}` };
    this.#decide(error === undefined ? ((response ?? {}) as Decision) : failed);
  }
}
