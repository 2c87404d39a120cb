/**
 * Time after the end of stdin for which a queued agent is not started, in ms.
 *
 * The SDK cancels by ending stdin, and sends SIGTERM about 2 s later. A start in between would run an aborted
 * query (measured, SDK 0.3.330).
 */
export const CANCEL_GRACE_MS = 2500;
