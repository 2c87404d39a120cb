export type { JsonRpcMessage } from './messages.ts';
export type { ServiceParameters, SupervisedStdioParameters } from './parameters.ts';
export { SupervisedStdioTransport } from './transport.ts';
