/** Environment variables that an agent sets for its child processes. */
interface AgentMarks {
  readonly agent: 'Claude Code' | 'Codex' | 'Gemini CLI' | 'opencode' | 'Cursor';
  readonly names: readonly string[];
  /** The place in the agent's code that sets them. */
  readonly source: string;
}

/** The variables of a session: an agent sets them for its own children only. */
const SESSION_MARKS: readonly AgentMarks[] = [
  {
    agent: 'Claude Code',
    names: [
      ...['CLAUDECODE', 'CLAUDECODE_*', 'CLAUDE_CODE_SESSION', 'CLAUDE_CODE_SESSION_ID'],
      ...['CLAUDE_CODE_CHILD_SESSION', 'CLAUDE_CODE_SESSION_ATTENDED'],
      ...['CLAUDE_CODE_MESSAGING_SOCKET', 'CLAUDE_CODE_MESSAGING_TOKEN'],
      ...['CLAUDE_CODE_CHILD_NOTES_DIR', 'CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS'],
      ...['CLAUDE_CODE_SESSION_ACCESS_TOKEN', 'CLAUDE_CODE_HOST_SHORT_TEMP_DIRS'],
      ...['CLAUDE_JOB_DIR', 'CLAUDE_PID', 'AI_AGENT', 'MCP_SESSION_ID'],
    ],
    source: 'measured: the environment of its Bash commands and background sessions',
  },
  {
    agent: 'Codex',
    names: ['CODEX_SANDBOX', 'CODEX_SANDBOX_NETWORK_DISABLED'],
    source: 'github.com/openai/codex codex-rs/core/src/spawn.rs',
  },
  {
    agent: 'Codex',
    names: ['CODEX_THREAD_ID'],
    source: 'github.com/openai/codex codex-rs/protocol/src/shell_environment.rs',
  },
  {
    agent: 'Codex',
    names: ['CODEX_SESSION_ID', 'CODEX_PERMISSION_PROFILE'],
    source: 'github.com/openai/codex codex-rs/core/src/exec_env.rs, older and newer',
  },
  {
    agent: 'Codex',
    names: ['CODEX_CI'],
    source: 'github.com/openai/codex codex-rs/core/src/unified_exec/process_manager.rs',
  },
  {
    agent: 'Codex',
    names: ['CODEX_INTERNAL_ORIGINATOR_OVERRIDE'],
    source: 'github.com/openai/codex sdk/typescript/src/exec.ts',
  },
  {
    agent: 'Gemini CLI',
    names: ['GEMINI_CLI'],
    source:
      'github.com/google-gemini/gemini-cli packages/core/src/services/shellExecutionService.ts',
  },
  {
    agent: 'opencode',
    names: ['OPENCODE', 'OPENCODE_PID'],
    source: 'github.com/anomalyco/opencode packages/opencode/src/index.ts',
  },
  {
    agent: 'opencode',
    names: ['OPENCODE_RUN_ID', 'OPENCODE_PROCESS_ROLE'],
    source: 'github.com/anomalyco/opencode packages/core/src/util/opencode-process.ts',
  },
  { agent: 'Cursor', names: ['CURSOR_AGENT'], source: 'cursor.com/docs/agent/terminal' },
];

/** The variables of all agents. */
export const AGENT_MARKS: readonly string[] = SESSION_MARKS.flatMap(({ names }) => names);

/** The variables of Claude Code. */
export const CLAUDE_MARKS: readonly string[] = SESSION_MARKS.filter(
  ({ agent }) => agent === 'Claude Code',
).flatMap(({ names }) => names);

/** Settings that an outer Claude Code hands down, but that an operator may also set on purpose. */
export const DROPPED_WHEN_NESTED: readonly string[] = Object.freeze([
  'CLAUDE_CODE_ENTRYPOINT',
  'CLAUDE_CODE_EXECPATH',
  'CLAUDE_EFFORT',
  'CLAUDE_CODE_EFFORT_LEVEL',
  'CLAUDE_CODE_ALWAYS_ENABLE_EFFORT',
]);

/** Variables that a debugger or an editor set for the host alone, without any agent. */
export const HOST_ONLY: readonly string[] = [
  // github.com/microsoft/vscode-js-debug src/targets/node/bootloader/environment.ts
  'VSCODE_INSPECTOR_OPTIONS',
  // electronjs.org/docs/latest/api/environment-variables
  'ELECTRON_RUN_AS_NODE',
  // The port of the editor that Claude Code connects to (code.claude.com/docs, VS Code extension).
  'CLAUDE_CODE_SSE_PORT',
  // github.com/google-gemini/gemini-cli packages/core/src/ide/detect-ide.ts
  'CURSOR_TRACE_ID',
];
