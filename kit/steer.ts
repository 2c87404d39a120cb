// The language in which a prompt tells the fake API the answers of its model.

/** A tool call of the fake model. */
export interface ToolCall {
  readonly name: string;
  readonly input?: Readonly<Record<string, unknown>>;
}

/** Token counts as the API reports them; missing ones keep the fake's default. */
export interface Usage {
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly cache_creation_input_tokens?: number;
  readonly cache_read_input_tokens?: number;
}

/** One answer of the fake model. */
export interface Step {
  /** Streamed in `chunks` pieces (default 2), `chunkMs` apart. */
  readonly text?: string;
  readonly chunks?: number;
  readonly chunkMs?: number;
  /** One tool call, or several in one message; they follow the text. */
  readonly tools?: readonly ToolCall[];
  /** Begins the stream, and sends only pings. */
  readonly hang?: boolean;
  /** Hangs until the test opens the gate of this name; then the answer follows. */
  readonly gate?: string;
  /** An HTTP error instead of an answer, with the API's name for it. The agent may retry. */
  readonly status?: number;
  readonly error?: string;
  /** Cuts the connection after this many pieces. */
  readonly dropAfter?: number;
  /** Waits before the response's headers. */
  readonly delayMs?: number;
  readonly usage?: Usage;
}

/** A block of a message, as the API spells it. */
export interface Content {
  readonly type: string;
  readonly text?: string;
  readonly id?: string;
  readonly name?: string;
  readonly input?: Readonly<Record<string, unknown>>;
}

export interface Message {
  readonly role: string;
  readonly content: string | readonly Content[];
}

/**
 * Makes a prompt that the fake model answers with these steps, one after another. The first step comes
 * at once, each later one after the tool results of the one before. After the last it says hello.
 */
export function steer(steps: readonly Step[], text = 'Please do as the directive says.'): string {
  const directive = JSON.stringify({ steps }).replaceAll('@', '\\u0040');
  return `${text}\n@@${directive}@@`;
}

/** Finds the step that answers this conversation, by the number of answers since the directive. */
export function readStep(
  messages: readonly Message[],
): { readonly index: number; readonly step: Step | undefined } | undefined {
  for (let i = messages.length - 1; i >= 0; i--) {
    const message = messages[i];
    if (message?.role !== 'user') continue;
    // A turn without an answer shares its message with the next one: the last directive counts.
    const directive = [...textOf(message).matchAll(/@@(\{.*?\})@@/gs)].at(-1)?.[1];
    if (directive === undefined) continue;
    const { steps } = JSON.parse(directive) as { steps: readonly Step[] };
    const index = messages.slice(i + 1).filter((later) => later.role === 'assistant').length;
    return { index, step: steps[index] };
  }
  return undefined;
}

function textOf({ content }: Message): string {
  if (typeof content === 'string') return content;
  return content.map((block) => block.text ?? '').join('\n');
}
