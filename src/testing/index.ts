export type { Frame } from './agent-frames.ts';
export type { FakeAgentProcess } from './agent-process.ts';
export type { AgentCall, AgentScript } from './agent-script.ts';
export {
  type AgentStep,
  type AgentSteps,
  type AgentUsage,
  askPermission,
  complain,
  crash,
  exit,
  fail,
  hang,
  type PermissionAnswer,
  type PermissionOptions,
  reachUsageLimit,
  result,
  type StepOutcome,
  say,
  send,
  type ToolInput,
  type ToolOutcome,
  type TurnEnd,
  useTool,
} from './agent-steps.ts';
export { type FakeAgent, fakeAgent } from './fake-agent.ts';
export { FakeClock, type FakeTimer } from './fake-clock.ts';
export { FakeMachine } from './fake-machine.ts';
export {
  type FakeProcess,
  type FakeProgram,
  fakeProgram,
} from './fake-program.ts';
export { type HostDeath, type KillHostOptions, killHost } from './kill-host.ts';
export {
  type ExpectNoLeaksOptions,
  expectNoLeaks,
  LeakError,
  type LeakedProcess,
  type LeakReport,
  type QueuedRequest,
} from './leaks.ts';
export { type LeakMatchers, type MatcherOutcome, matchers } from './matchers.ts';
export { type AmountOptions, type MisbehaveOptions, misbehave, type Program } from './misbehave.ts';
export {
  createTestSupervisor,
  type TestSupervisor,
  type TestSupervisorOptions,
} from './test-supervisor.ts';
