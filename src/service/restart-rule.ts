import type { ExitCause } from '../index.ts';

/**
 * The rule for the next start of a service that has ended after it was ready.
 *
 * `on-demand` starts it when somebody asks for it. `paced` does the same, but after the delay of the restart
 * policy. `automatic` starts it by itself, after that delay.
 */
export type RestartRule = 'on-demand' | 'paced' | 'automatic';

/** Limits that may be meant to end it again and again are paced; idleness paces itself. */
const RULES: Readonly<Record<ExitCause, RestartRule>> = {
  completed: 'paced',
  failed: 'automatic',
  crashed: 'automatic',
  terminated: 'on-demand',
  aborted: 'on-demand',
  reaped: 'on-demand',
  'wall-clock': 'on-demand',
  startup: 'automatic',
  idle: 'on-demand',
  memory: 'automatic',
  lifetime: 'automatic',
  budget: 'on-demand',
  duplicate: 'on-demand',
  shutdown: 'on-demand',
  disowned: 'on-demand',
  'not-started': 'on-demand',
};

/** Chooses the rule for an end; `asked`: this host has asked for it. */
export function restartRuleOf(cause: ExitCause, asked: boolean): RestartRule {
  // A polite signal from outside was intended, and may come again after every start.
  if (cause === 'terminated' && !asked) return 'paced';
  return RULES[cause];
}
