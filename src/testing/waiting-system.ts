import type { GuardRequest, Os } from '../os/os.ts';
import type { FakeClock } from './fake-clock.ts';

/** A system whose answers a clock waits for: fake time does not pass while real time is needed. */
export function waitingWith(clock: FakeClock, os: Os): Os {
  const { probe, processes, guard, listeners, pss, prepareLaunch, rlimits } = os;
  return {
    ...os,
    processes: { ...processes, snapshot: () => clock.waitFor(processes.snapshot()) },
    sample: (pids) => clock.waitFor(os.sample(pids)),
    probe: {
      canConnect: (...asked) => clock.waitFor(probe.canConnect(...asked)),
      answersOk: (...asked) => clock.waitFor(probe.answersOk(...asked)),
    },
    ...(guard && {
      guard(request: GuardRequest) {
        const started = guard(request);
        void clock.waitFor(started.ready).catch(() => undefined);
        return started;
      },
    }),
    ...(listeners && {
      listeners: (...asked: Parameters<typeof listeners>) => clock.waitFor(listeners(...asked)),
    }),
    ...(pss && { pss: (pids: readonly number[]) => clock.waitFor(pss(pids)) }),
    ...(prepareLaunch && {
      prepareLaunch() {
        const loading = prepareLaunch();
        return loading && clock.waitFor(loading);
      },
    }),
    ...(rlimits && {
      rlimits: {
        own: () => rlimits.own(),
        probe: (...asked: Parameters<typeof rlimits.probe>) =>
          clock.waitFor(rlimits.probe(...asked)),
        prefix: (...asked: Parameters<typeof rlimits.prefix>) => rlimits.prefix(...asked),
      },
    }),
  };
}
