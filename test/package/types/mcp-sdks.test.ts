// Compiled by `npm run check`: our types against those of both SDKs.
import type { Client as Client2, Transport as Transport2 } from '@modelcontextprotocol/client';
import type {
  StdioServerParameters as Parameters2,
  StdioClientTransport as Stdio2,
} from '@modelcontextprotocol/client/stdio';
import type { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import type {
  StdioServerParameters as Parameters1,
  StdioClientTransport as Stdio1,
} from '@modelcontextprotocol/sdk/client/stdio.js';
import type { Transport as Transport1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { describe, expectTypeOf, it } from 'vitest';
import type { SupervisedProcess } from '../../../src/index.ts';
import type {
  JsonRpcMessage,
  ServiceParameters,
  SupervisedStdioParameters,
  SupervisedStdioTransport,
} from '../../../src/mcp/index.ts';

type Server = ConstructorParameters<typeof SupervisedStdioTransport>[0];

describe("the SDK's types, 1.x and 2.x", () => {
  it('take the transport as one of theirs', () => {
    expectTypeOf<SupervisedStdioTransport>().toExtend<Transport1>();
    expectTypeOf<SupervisedStdioTransport>().toExtend<Transport2>();
    expectTypeOf<SupervisedStdioTransport>().toExtend<Parameters<Client1['connect']>[0]>();
    expectTypeOf<SupervisedStdioTransport>().toExtend<Parameters<Client2['connect']>[0]>();
  });

  it('do not take just anything', () => {
    expectTypeOf<Omit<SupervisedStdioTransport, 'send'>>().not.toExtend<Transport1>();
    expectTypeOf<Omit<SupervisedStdioTransport, 'close'>>().not.toExtend<Transport2>();
  });

  it('give the parameters of a server', () => {
    expectTypeOf<Parameters1>().toExtend<Server>();
    expectTypeOf<Parameters2>().toExtend<Server>();
    expectTypeOf<ConstructorParameters<typeof Stdio1>[0]>().toExtend<SupervisedStdioParameters>();
    expectTypeOf<ConstructorParameters<typeof Stdio2>[0]>().toExtend<SupervisedStdioParameters>();
  });

  it('have the members that theirs has', () => {
    expectTypeOf<keyof Stdio1 | keyof Stdio2>().toExtend<keyof SupervisedStdioTransport>();
    expectTypeOf<SupervisedStdioTransport['stderr']>().toEqualTypeOf<Stdio1['stderr']>();
    expectTypeOf<SupervisedStdioTransport['pid']>().toEqualTypeOf<Stdio1['pid']>();
  });

  it('give a message that is one of ours, and handlers that take one of theirs', () => {
    type Handler = NonNullable<SupervisedStdioTransport['onmessage']>;
    expectTypeOf<JSONRPCMessage>().toExtend<JsonRpcMessage>();
    expectTypeOf<(message: JSONRPCMessage) => void>().toExtend<Handler>();
    expectTypeOf<(message: string) => void>().not.toExtend<Handler>();
  });
});

describe('the parameters', () => {
  it('are of a server or of a service', () => {
    const ensure = (): Promise<SupervisedProcess> => Promise.reject(new Error('never called'));
    expectTypeOf({ service: { ensure } }).toExtend<ServiceParameters>();
    expectTypeOf({ service: { ensure }, command: 'a' }).not.toExtend<Server>();
    expectTypeOf({ args: ['a'] }).not.toExtend<Server>();
    expectTypeOf({ command: 'a', stderr: 'piped' as const }).not.toExtend<Server>();
  });
});
