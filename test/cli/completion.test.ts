import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { it } from '../support/command-line.ts';
import { CAN_CONTAIN } from '../support/containment.ts';
import { callInside } from '../support/fake-terminal.ts';

const has = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;
const [hasBash, hasZsh, hasFish] = [has('bash'), has('zsh'), has('fish')];
for (const [shell, is] of Object.entries({ bash: hasBash, zsh: hasZsh, fish: hasFish }))
  if (!is) console.warn(`left out: there is no ${shell} here`);

describe.runIf(CAN_CONTAIN)('completion', () => {
  it.runIf(hasBash)(
    'bash completes commands, options, folders, and nothing of what is run',
    async ({ line, area }) => {
      mkdirSync(join(area.folder, 'some folder'));
      const ask = `source <(agent-supervisor completion bash)
complete -p agent-supervisor
ask() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  _agent_supervisor
  printf '%s\\n' "\${COMPREPLY[@]}" | sort | paste -sd '|'
}
ask agent-supervisor re
ask agent-supervisor reap --y
ask agent-supervisor top --sort ''
ask agent-supervisor completion b
ask agent-supervisor ps --state-dir some
ask agent-supervisor events -
ask agent-supervisor run --session x -- ls --
ask agent-supervisor nonsense ''`;
      const { stdout, stderr } = await line.bash(ask);
      expect(stderr).toBe('');
      expect(stdout.split('\n').slice(1, -1)).toEqual([
        'reap|recover',
        '--yes',
        'age|cpu|memory',
        'bash',
        'some folder',
        '--help|--json|--lines|--no-follow|--state-dir|-h|-n',
        '',
        '',
      ]);
      expect(stdout).toMatch(/^complete .*-F _agent_supervisor agent-supervisor\n/);
    },
  );

  it.runIf(hasZsh || hasFish).for(['zsh', 'fish'])('%s reads its own', async (shell) => {
    if (!has(shell)) return;
    const { stdout } = await callInside(['completion', shell]);
    const { status, stderr } = spawnSync(shell, ['-n'], { input: stdout });
    expect({ status, stderr: String(stderr) }).toEqual({ status: 0, stderr: '' });
  });

  it.for(['bash', 'zsh', 'fish'])('%s: every command and every option is in it', async (shell) => {
    const { stdout, code } = await callInside(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['ps', 'recover', 'wall-clock', 'dry-run', 'state-dir'])
      expect(stdout).toContain(word);
  });
});
