/** Context of a caller's own readiness check. */
export interface ReadyContext {
  /** Aborted when the answer is no longer awaited. */
  readonly signal: AbortSignal;
  /** The process that has to be ready, for a check that proves which process has answered. */
  readonly pid: number;
}

/** The proof that a daemon or a service is ready. */
export type Ready =
  /** It accepts connections at this port; without a host, at a loopback address. */
  | { readonly port: number; readonly host?: string | undefined }
  /** It answers a GET request to this http or https URL with a status of 200 to 299. */
  | { readonly url: string }
  /** It accepts connections at this path. */
  | { readonly socket: string }
  /** The caller's own check. An error counts as not ready, and becomes the cause of a `READY_TIMEOUT`. */
  | { readonly check: (context: ReadyContext) => boolean | PromiseLike<boolean> }
  /** Its log file matches this pattern. A daemon that runs and was ready before need not write the text again. */
  | { readonly stdout: RegExp };
