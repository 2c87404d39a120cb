import type { AgentFrames, Frame } from './agent-frames.ts';

/** A control request: the host asks the agent itself, not its model. */
export interface ControlRequest {
  readonly subtype?: string;
  readonly model?: unknown;
  readonly mode?: unknown;
}

/** A frame on the agent's stdin, with the fields that the fake agent reads. */
export interface InputFrame {
  readonly type?: string;
  readonly request_id?: string;
  readonly request?: ControlRequest;
  readonly response?: {
    readonly request_id?: string;
    readonly response?: unknown;
    readonly error?: string;
  };
  readonly message?: { readonly content?: unknown };
}

/** The response to a control request, and the frames that follow it. */
export interface ControlAnswer {
  readonly response: Frame;
  readonly following?: readonly Frame[];
}

/** Answers a control request; an unknown one gets an error. */
export function answerControl(
  { subtype, model, mode }: ControlRequest,
  frames: AgentFrames,
  pid: number,
): ControlAnswer {
  switch (subtype) {
    case 'initialize':
      return success(introduction(frames.model, pid));
    case 'interrupt':
      return success({ still_queued: [] });
    case 'set_model':
      frames.model = typeof model === 'string' ? model : frames.model;
      return success({ model: frames.model });
    case 'set_permission_mode':
      frames.permissionMode = String(mode);
      return { ...success({ mode }), following: [frames.status({ permissionMode: mode })] };
    case 'set_max_thinking_tokens':
      return success();
    case 'mcp_status':
      return success({ mcpServers: [] });
    default:
      return {
        response: { subtype: 'error', error: `fakeAgent does not know the request "${subtype}"` },
      };
  }
}

const success = (response?: Frame): ControlAnswer => ({
  response: { subtype: 'success', ...(response === undefined ? {} : { response }) },
});

function introduction(model: string, pid: number): Frame {
  return {
    commands: [],
    agents: [],
    output_style: 'default',
    available_output_styles: ['default'],
    models: [{ value: model, displayName: model, description: 'No model at all.' }],
    account: { tokenSource: 'none', apiKeySource: 'none' },
    pid,
  };
}

/** Extracts the text of a prompt, which is a string or a list of blocks. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as readonly { text?: string }[]).map(({ text = '' }) => text).join('');
}
