/** A need of a request beside its slot; both are taken together, or not at all. */
export interface Condition {
  /** Takes it when all else is free for the request; with false, the next request goes first. */
  take(): boolean;
  /** The reason why it cannot be taken now, as a clause; `undefined` if it can. */
  readonly lack: string | undefined;
}
