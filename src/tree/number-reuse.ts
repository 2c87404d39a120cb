import type { PidSupply } from '../os/os.ts';

/** The kernel continues here when all pids have been used once (RESERVED_PIDS in kernel/pid.c). */
const FIRST_PID = 300;
/** Allowance for the two files of a reading, which are not read at the same instant. */
const MARGIN = 64;

/**
 * True if the kernel may have assigned `number` between the readings `from` and `to`.
 *
 * The kernel assigns pids in a circle and skips those in use. So a pid cannot have been assigned if
 * the kernel has neither gone once round the circle nor passed it. The count of forks limits the
 * rounds; the last assigned pid tells the position.
 *
 * Each task keeps at most three numbers in use: its own, its group's and its session's. A fork that
 * a control group's limit refuses takes a pid and is not counted (measured on Linux 6.18). So if
 * more pids are gone than the forks explain, nothing is proven.
 */
export function mayBeReused(number: number, from: PidSupply, to: PidSupply): boolean {
  const forks = to.forks - from.forks;
  const explained = forks + 3 * Math.max(from.tasks, to.tasks) + MARGIN;
  if (forks < 0 || from.max !== to.max) return true;
  if (explained >= to.max - FIRST_PID) return true;
  const isRound = to.last < from.last;
  const taken = isRound ? to.max - from.last + to.last - FIRST_PID : to.last - from.last;
  if (taken > explained) return true;
  const [isAfter, isBefore] = [number > from.last, number <= to.last];
  return isRound ? isAfter || isBefore : isAfter && isBefore;
}
