import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { CAN_TYPE, it } from '../../../kit/command-line.ts';
import { CAN_CONTAIN } from '../../../kit/containment.ts';
import { callInside } from '../../../kit/fake-terminal.ts';
import { hasProgram } from '../../../kit/programs.ts';

const has = (path: string): boolean => CAN_CONTAIN && hasProgram(path);
const [hasBash, hasZsh, hasFish] = [has('/bin/bash'), has('/usr/bin/zsh'), has('/usr/bin/fish')];

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

  it.runIf(hasFish)('fish completes the same, and whatever is run', async ({ line, area }) => {
    mkdirSync(join(area.folder, 'some folder'));
    const lines = [
      'agent-supervisor re',
      'agent-supervisor reap --y',
      'agent-supervisor top --sort ',
      'agent-supervisor completion b',
      'agent-supervisor ps --state-dir some',
      'agent-supervisor events --',
      'agent-supervisor --v',
      'agent-supervisor run --session x -- ls some',
      'agent-supervisor run --session x -- top --so',
      'agent-supervisor nonsense ',
    ];
    const asked = lines.map(
      (one) => `echo (complete -C '${one}' | cut -f 1 | sort | paste -sd '|')`,
    );
    const { stdout, stderr } = await line.fish(
      `agent-supervisor completion fish | source\n${asked.join('\n')}`,
    );
    expect(stderr).toBe('');
    expect(stdout.split('\n').slice(0, -1)).toEqual([
      'reap|recover',
      '--yes',
      'age|cpu|memory',
      'bash',
      'some folder/',
      '--help|--json|--lines|--no-follow|--state-dir',
      '--version',
      'some folder/',
      '',
      '',
    ]);
  });

  const COMPINIT = 'autoload -U compinit; compinit -u -D';
  it.runIf(hasZsh && CAN_TYPE).for([
    ['sourced', `${COMPINIT}; source <(agent-supervisor completion zsh)`],
    ['a file of fpath', `fpath=($ZDOTDIR/functions $fpath); ${COMPINIT}`],
  ] as const)('zsh completes the same, %s', async ([_, rc], { line, shell, area }) => {
    mkdirSync(join(area.folder, 'some folder'));
    mkdirSync(join(area.folder, 'functions'));
    const { stdout } = await line.call(['completion', 'zsh']);
    writeFileSync(join(area.folder, 'functions/_agent-supervisor'), stdout);
    await shell.open({ shell: 'zsh', rc });
    for (const [typed, seen] of [
      ['agent-supervisor re', /^reap +-- end every .*\nrecover +-- end and forget/m],
      ['agent-supervisor reap --y', 'reap --yes'],
      ['agent-supervisor top --sort ', /^age +cpu +memory$/m],
      ['agent-supervisor completion b', 'completion bash'],
      ['agent-supervisor ps --state-dir some', 'some\\ folder/'],
      [
        'agent-supervisor events -',
        /^--lines +-n +-- begin with so many of the past \(default: 20\)$/m,
      ],
      ['agent-supervisor --', /^--help +--version$/m],
      ['agent-supervisor run --session x -- mkfi', '-- mkfifo'],
      ['agent-supervisor run -- ls some', 'ls some\\ folder/'],
    ] as const) {
      await shell.complete(typed);
      await shell.sees(seen);
      await shell.press('C-c');
      await shell.press('C-l');
    }
  });

  it.for(['bash', 'zsh', 'fish'])('%s: every command and every option is in it', async (shell) => {
    const { stdout, code } = await callInside(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['ps', 'recover', 'wall-clock', 'dry-run', 'state-dir'])
      expect(stdout).toContain(word);
  });
});
