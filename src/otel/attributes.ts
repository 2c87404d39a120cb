/**
 * Attributes of metrics and spans.
 *
 * Metrics get only attributes with few values; ids of processes and sessions are for spans alone.
 * Neither gets a folder, argument, variable, output or error text.
 */
export const KIND = 'agent_supervisor.kind';
export const STATE = 'agent_supervisor.state';
export const CAUSE = 'agent_supervisor.cause';
export const FORCED = 'agent_supervisor.forced';
export const ACTION = 'agent_supervisor.action';
export const CODE = 'agent_supervisor.code';
/** OpenTelemetry's own attribute: the code of a refusal, or the cause of a failure. */
export const ERROR_TYPE = 'error.type';

// For spans alone.
export const ID = 'agent_supervisor.id';
export const SESSION_ID = 'agent_supervisor.session.id';
export const SIGNAL = 'agent_supervisor.signal';
export const COUNT = 'agent_supervisor.count';
export const PID = 'process.pid';
export const EXIT_CODE = 'process.exit.code';
