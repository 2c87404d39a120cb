/**
 * What metrics and spans are told apart by. On metrics only what has few values; what names one process
 * or session is for spans alone, and no folder, argument, variable, output or error text is for either.
 */
export const KIND = 'agent_supervisor.kind';
export const STATE = 'agent_supervisor.state';
export const CAUSE = 'agent_supervisor.cause';
export const FORCED = 'agent_supervisor.forced';
export const ACTION = 'agent_supervisor.action';
export const CODE = 'agent_supervisor.code';
/** OpenTelemetry's own: the code of a refusal, the cause of a failure. */
export const ERROR_TYPE = 'error.type';

// On spans alone.
export const ID = 'agent_supervisor.id';
export const SESSION_ID = 'agent_supervisor.session.id';
export const SIGNAL = 'agent_supervisor.signal';
export const COUNT = 'agent_supervisor.count';
export const PID = 'process.pid';
export const EXIT_CODE = 'process.exit.code';
