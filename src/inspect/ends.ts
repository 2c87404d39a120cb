import type { Os } from '../os/os.ts';
import type { ExitCause } from '../reports.ts';
import type { HistoryNote } from '../store/formats.ts';
import { recentNotes } from '../store/history-reader.ts';
import type { PublicText } from './public-text.ts';
import type { EndNote } from './report.ts';

const MAX_ENDS = 50;
/** Room for a few hundred notes. */
const TAIL_BYTES = 64 * 1024;

/** Reads the last ends in the history, newest first. */
export function lastEnds(os: Os, stateDir: string, publicText: PublicText): EndNote[] {
  return notesOf(os, stateDir)
    .filter(({ event }) => event !== 'started')
    .slice(-MAX_ENDS)
    .reverse()
    .map((note) => endNote(note, publicText));
}

function endNote(note: HistoryNote, publicText: PublicText): EndNote {
  const { at, owner, id, pid, command = '', kind, sessionId } = note;
  return {
    at,
    owner,
    id,
    pid: pid ?? null,
    command: publicText(command),
    kind: publicText(kind),
    sessionId: sessionId === undefined ? null : publicText(sessionId),
    cause: (note.cause as ExitCause | undefined) ?? null,
    code: note.code ?? null,
    signal: note.signal ?? null,
    forced: note.forced ?? false,
    durationMs: note.durationMs ?? 0,
  };
}

function notesOf(os: Os, stateDir: string): readonly HistoryNote[] {
  try {
    return recentNotes(stateDir, os, TAIL_BYTES);
  } catch {
    return [];
  }
}
