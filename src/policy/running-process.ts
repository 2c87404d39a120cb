import type { EndReport, ExitCause, WaitsFor } from '../reports.ts';

/** A running process, as far as conversations and budgets need to know. */
export interface RunningProcess {
  readonly subject: { readonly sessionId: string | undefined };
  /** Tells if its end may let those go who wait for that. */
  holds(waitsFor: WaitsFor): boolean;
  /** Ends it with its tree. */
  end(cause: ExitCause, options?: object, reason?: string): Promise<EndReport>;
}
