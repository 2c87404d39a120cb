/** Which heartbeat a file of ours names. */
export const HEARTBEAT_ID = /^[\da-f]{12}$/;
