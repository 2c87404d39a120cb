import type { PidSupply } from '../os/os.ts';

/** Once through all numbers, the kernel begins again here (RESERVED_PIDS in kernel/pid.c). */
const FIRST_NUMBER = 300;
/** The two files of a reading are not read in the same instant. */
const MARGIN = 64;

/**
 * Whether the kernel may have given out `number` after the reading `from` and before the reading `to`.
 *
 * Numbers are given out in a circle, and those in use are skipped. So a number cannot have been given
 * out if the kernel has not been round the circle once, and has not come past that number. How often
 * it went round is told by the forks, where it stands now by the number that it gave out last.
 *
 * Each task keeps at most three numbers in use: its own, its group's and its session's. A fork that a
 * limit of a control group refuses takes a number and is not counted (measured on Linux 6.18): where
 * more numbers are gone than forks explain, nothing is proven.
 */
export function mayBeGivenOut(number: number, from: PidSupply, to: PidSupply): boolean {
  const forks = to.forks - from.forks;
  const explained = forks + 3 * Math.max(from.tasks, to.tasks) + MARGIN;
  if (forks < 0 || from.max !== to.max) return true;
  if (explained >= to.max - FIRST_NUMBER) return true;
  const isRound = to.last < from.last;
  const taken = isRound ? to.max - from.last + to.last - FIRST_NUMBER : to.last - from.last;
  if (taken > explained) return true;
  const [isAfter, isBefore] = [number > from.last, number <= to.last];
  return isRound ? isAfter || isBefore : isAfter && isBefore;
}
