// Transports that record all messages, and small servers for them.
import { fileURLToPath } from 'node:url';
import {
  type JsonRpcMessage,
  type ServiceParameters,
  type SupervisedStdioParameters,
  SupervisedStdioTransport,
} from '../src/mcp/index.ts';
import { eventually } from './eventually.ts';

export const MCP_SERVER = fileURLToPath(
  new URL('../test/fixtures/mcp-server.mjs', import.meta.url),
);

const PATIENCE = { timeoutMs: 20_000, everyMs: 5 };

/** Creates a transport that records its messages and errors, with functions that wait for them. */
export function record(parameters: SupervisedStdioParameters | ServiceParameters) {
  const transport = new SupervisedStdioTransport(parameters);
  const messages: JsonRpcMessage[] = [];
  const errors: Error[] = [];
  let closes = 0;
  transport.onmessage = (message) => void messages.push(message);
  transport.onerror = (error) => void errors.push(error);
  transport.onclose = () => {
    closes += 1;
  };
  return {
    transport,
    messages,
    errors,
    closes: () => closes,
    /** Waits for a message with this method. */
    heard: (method: string): Promise<JsonRpcMessage> =>
      eventually(() => messages.find((message) => message.method === method), {
        ...PATIENCE,
        what: `${method} is heard`,
      }),
    closed: () => eventually(() => closes > 0, { ...PATIENCE, what: 'onclose' }),
  };
}

export function note(method: string, params?: object): JsonRpcMessage {
  return { jsonrpc: '2.0', method, ...(params && { params }) };
}
