/** What a check of one's own is told. */
export interface ReadyContext {
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** The process that has to be ready, for a check that proves whom it has asked. */
  readonly pid: number;
}

/** How a daemon shows that it is ready. */
export type Ready =
  /** It takes connections at this port; without a host, at a loopback address. */
  | { readonly port: number; readonly host?: string | undefined }
  /** It answers a GET of this http or https address with a status of 200 to 299. */
  | { readonly url: string }
  /** It takes connections at this path. */
  | { readonly socket: string }
  /** The caller asks by itself. What it throws counts as no, and becomes the cause of a `READY_TIMEOUT`. */
  | { readonly check: (context: ReadyContext) => boolean | PromiseLike<boolean> }
  /** It writes this into its log file; one that runs and was ready before need not again. */
  | { readonly stdout: RegExp };
