// A fake Anthropic Messages API on 127.0.0.1. The prompt holds the model's answers: `steer([...steps])`
// hides a directive in it, and the n-th answer to that prompt is the n-th step.
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Gates } from './gates.ts';
import {
  type Content,
  type Message,
  readStep,
  type Step,
  type ToolCall,
  type Usage,
} from './steer.ts';

/** The record of one request, without secrets. */
export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  readonly at: number;
  model?: string;
  stream?: boolean;
  /** The step that answered it; `undefined` when the prompt held no directive. */
  step?: number | undefined;
  /** Names of the tools that the agent offered. */
  tools?: readonly string[];
  /**
   * Tokens to bill: the input from the first event of the answer on, the output as far as it was sent.
   */
  usage?: Required<Usage>;
  /** `true` if the API has no such path. */
  unknown?: boolean;
}

/** The sum that the API bills. */
export interface Bill {
  readonly usd: number;
  /** Tokens of all kinds. */
  readonly tokens: number;
  readonly requests: number;
}

export interface FakeApi {
  readonly url: string;
  readonly requests: readonly RequestRecord[];
  /** Sums the costs of all requests from the one with this index on. @default 0 */
  bill(since?: number): Bill;
  /** Counts the answers that wait at a gate now. */
  waiting(gate: string): number;
  /** Opens a gate for good: waiting answers and later ones pass. */
  open(gate: string): void;
  close(): Promise<void>;
}

interface MessagesBody {
  readonly model?: string;
  readonly stream?: boolean;
  readonly tools?: readonly { readonly name: string }[];
  readonly messages?: readonly Message[];
}

interface Answer {
  readonly step: Step;
  readonly content: readonly Content[];
  readonly head: Readonly<Record<string, unknown>>;
  readonly stopReason: 'tool_use' | 'end_turn';
  readonly usage: Required<Usage>;
}

const DEFAULT_STEP: Step = { text: 'Hello from the fake API.' };
const DEFAULT_USAGE: Required<Usage> = {
  input_tokens: 10,
  output_tokens: 5,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
};
/**
 * US dollars per million tokens, as the agent of SDK 0.3.330 computes them (test/agent/money.slow.ts).
 */
export const PRICES: Readonly<Record<string, Required<Usage>>> = {
  'claude-opus-5-5': prices(4, 20, 5, 0.2),
  'claude-sonnet-4-5': prices(3, 15, 3.75, 0.3),
  'claude-haiku-4-5': prices(1, 5, 1.25, 0.1),
};
const PING_MS = 1_000;

let serial = 0;
const nextId = (prefix: string) => `${prefix}_fake${String(++serial).padStart(6, '0')}`;

/** Starts the API on a free port. Its `close` drops all open connections. */
export async function startFakeApi(): Promise<FakeApi> {
  const requests: RequestRecord[] = [];
  const gates = new Gates();
  const server = http.createServer((req, res) => {
    const record: RequestRecord = {
      method: req.method ?? '',
      path: (req.url ?? '/').replace(/\?.*/s, ''),
      at: Date.now(),
    };
    requests.push(record);
    // A client that disconnects is normal here, and no failure of the test.
    route(req, res, record, gates).catch(() => res.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    bill: (since = 0) => billOf(requests.slice(since)),
    waiting: (gate) => gates.waiting(gate),
    open: (gate) => gates.open(gate),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function prices(input: number, output: number, write: number, read: number): Required<Usage> {
  return {
    input_tokens: input,
    output_tokens: output,
    cache_creation_input_tokens: write,
    cache_read_input_tokens: read,
  };
}

function billOf(requests: readonly RequestRecord[]): Bill {
  const bill = { usd: 0, tokens: 0, requests: 0 };
  for (const { model = '', usage } of requests) {
    if (usage === undefined) continue;
    bill.requests += 1;
    for (const [kind, tokens] of Object.entries(usage)) {
      bill.tokens += tokens;
      bill.usd += (tokens * (PRICES[model]?.[kind as keyof Usage] ?? Number.NaN)) / 1_000_000;
    }
  }
  return bill;
}

async function route(
  req: IncomingMessage,
  res: ServerResponse,
  record: RequestRecord,
  gates: Gates,
): Promise<void> {
  const body = await readBody(req);
  switch (`${record.method} ${record.path}`) {
    case 'POST /v1/messages':
      return answerMessages(res, body, record, gates);
    case 'POST /v1/messages/count_tokens':
      return sendJson(res, 200, { input_tokens: DEFAULT_USAGE.input_tokens });
    case 'GET /v1/models':
      return sendJson(res, 200, { data: [], has_more: false, first_id: null, last_id: null });
    case 'HEAD /':
    case 'GET /':
      return sendJson(res, 200, {});
    default:
      record.unknown = true;
      return sendError(res, 404, 'not_found_error');
  }
}

async function readBody(req: IncomingMessage): Promise<MessagesBody> {
  const text = Buffer.concat(await req.toArray()).toString('utf8');
  return text === '' ? {} : (JSON.parse(text) as MessagesBody);
}

async function answerMessages(
  res: ServerResponse,
  body: MessagesBody,
  record: RequestRecord,
  gates: Gates,
): Promise<void> {
  const found = readStep(body.messages ?? []);
  const step = found?.step ?? DEFAULT_STEP;
  record.model = body.model ?? '';
  record.stream = body.stream === true;
  record.step = found?.index;
  record.tools = (body.tools ?? []).map((tool) => tool.name);
  if (step.delayMs !== undefined) await delay(step.delayMs, undefined, { ref: false });
  if (step.status !== undefined) return sendError(res, step.status, step.error ?? 'api_error');
  const answer = toAnswer(step, body.model ?? 'fake');
  if (body.stream === true) return streamAnswer(res, answer, gates, record);
  if (step.hang === true) return;
  if (step.dropAfter !== undefined) return void res.destroy();
  if (step.gate !== undefined && !(await gates.pass(step.gate, res))) return;
  record.usage = answer.usage;
  const { head, content, stopReason: stop_reason, usage } = answer;
  sendJson(res, 200, { ...head, content, stop_reason, usage });
}

function toAnswer(step: Step, model: string): Answer {
  const tools: readonly ToolCall[] = step.tools ?? [];
  const calls = tools.map<Content>(({ name, input }) => ({
    type: 'tool_use',
    id: nextId('toolu'),
    name,
    input: input ?? {},
  }));
  const texts: Content[] = step.text === undefined ? [] : [{ type: 'text', text: step.text }];
  return {
    step,
    content: [...texts, ...calls],
    head: { id: nextId('msg'), type: 'message', role: 'assistant', model, stop_sequence: null },
    stopReason: calls.length > 0 ? 'tool_use' : 'end_turn',
    usage: { ...DEFAULT_USAGE, ...step.usage },
  };
}

async function streamAnswer(
  res: ServerResponse,
  answer: Answer,
  gates: Gates,
  record: RequestRecord,
): Promise<void> {
  const { step, content, head, usage } = answer;
  res.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': nextId('req') });
  record.usage = { ...usage, output_tokens: 1 };
  const started = { ...head, content: [], stop_reason: null, usage: record.usage };
  sendEvent(res, 'message_start', { message: started });
  if (step.hang === true || step.gate !== undefined) {
    // Pings keep the client's idle watchdog from firing.
    const pinging = setInterval(() => sendEvent(res, 'ping', {}), PING_MS);
    res.once('close', () => clearInterval(pinging));
    if (step.gate === undefined || !(await gates.pass(step.gate, res))) return;
    clearInterval(pinging);
  }
  let chunksLeft = step.dropAfter ?? Number.POSITIVE_INFINITY;
  for (const [index, block] of content.entries()) {
    sendEvent(res, 'content_block_start', { index, content_block: emptied(block) });
    for (const delta of deltasOf(block, step.chunks ?? 2)) {
      sendEvent(res, 'content_block_delta', { index, delta });
      chunksLeft -= 1;
      if (chunksLeft <= 0) return void res.destroy();
      if (step.chunkMs !== undefined) await delay(step.chunkMs, undefined, { ref: false });
      if (res.destroyed) return;
    }
    sendEvent(res, 'content_block_stop', { index });
  }
  const delta = { stop_reason: answer.stopReason, stop_sequence: null };
  record.usage = usage;
  sendEvent(res, 'message_delta', { delta, usage });
  sendEvent(res, 'message_stop', {});
  res.end();
}

function emptied(block: Content): Content {
  return block.type === 'text' ? { ...block, text: '' } : { ...block, input: {} };
}

function deltasOf(block: Content, chunks: number): object[] {
  if (block.type !== 'text')
    return [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input) }];
  const text = block.text ?? '';
  const size = Math.max(1, Math.ceil(text.length / chunks));
  const count = Math.ceil(text.length / size);
  return Array.from({ length: count }, (_, i) => ({
    type: 'text_delta',
    text: text.slice(i * size, (i + 1) * size),
  }));
}

function sendEvent(res: ServerResponse, type: string, data: object): void {
  res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
}

function sendJson(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json', 'request-id': nextId('req') });
  res.end(JSON.stringify(body));
}

function sendError(res: ServerResponse, status: number, type: string): void {
  sendJson(res, status, { type: 'error', error: { type, message: `the fake API says ${type}` } });
}
