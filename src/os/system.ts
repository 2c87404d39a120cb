import { statSync } from 'node:fs';
import { hostname } from 'node:os';
import { builtin } from './builtin.ts';
import { systemClock, turnOfLoop } from './clock.ts';
import { darwinBootId, darwinProcesses } from './darwin.ts';
import { isOfEarlierBoot } from './exclusive-disk.ts';
import { startGuard } from './guard.ts';
import { isGuardian } from './guardian-name.ts';
import { onParent, onSignal, raise, signalListeners } from './host-signals.ts';
import { launch, loadLauncher } from './launch.ts';
import { linuxIdentity, linuxMachineId, linuxProcesses, linuxPss } from './linux.ts';
import { darwinListeners, linuxListeners, windowsListeners } from './listeners.ts';
import { askForLife, listenForLife, socketKey } from './liveness-socket.ts';
import { linuxOomCounters, OomKills } from './oom-kills.ts';
import type { Os, Platform, Processes, ProcessTable, SelfIdentity, SignalResult } from './os.ts';
import { readPidSupply, recentPidSupply } from './pid-supply.ts';
import { answersOk, canConnect } from './probe.ts';
import { linuxRlimits } from './rlimits.ts';
import { electronPath } from './runtime.ts';
import { fileTimeMs, secondsMs, ticksMs } from './start-time.ts';
import { stateFallback, stateHome } from './state-home.ts';
import { sampleUsage } from './usage.ts';
import { endWindowsTree, windowsProcesses } from './windows.ts';

/**
 * Lets callers share snapshots of the process table.
 *
 * A snapshot that began before a call may have passed the caller's process already. So callers
 * during one share the next.
 */
function shareSnapshots(take: () => Promise<ProcessTable>): () => Promise<ProcessTable> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<ProcessTable> | undefined;
  return () => {
    next ??= running.then(() => {
      next = undefined;
      const snapshot = take();
      // Those who waited for it run first, in their own turn of the event loop.
      running = snapshot.then(turnOfLoop, turnOfLoop);
      return snapshot;
    });
    return next;
  };
}

/** Adds the pid counters before and after to each snapshot. */
function withSupply(take: () => Promise<ProcessTable>): () => Promise<ProcessTable> {
  return async () => {
    const before = readPidSupply();
    const table = await take();
    const after = readPidSupply();
    return before && after ? Object.assign(table, { supply: { before, after } }) : table;
  };
}

/** Sends a signal; the check is here so that no caller can forget it. */
function send(target: number, signal: NodeJS.Signals): SignalResult {
  const number = Math.abs(target);
  // 0 and -1 would mean our own group or all processes; a host never signals itself.
  if (!Number.isSafeInteger(target) || number <= 1 || number === process.pid) return 'denied';
  try {
    process.kill(target, signal);
    return 'sent';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? 'gone' : 'denied';
  }
}

function hasGroup(pgid: number): boolean {
  if (pgid <= 1) return false;
  try {
    process.kill(-pgid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function isOwnUsers(pid: number): boolean {
  try {
    if (process.platform === 'linux') return statSync(`/proc/${pid}`).uid === process.getuid?.();
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function compose(platform: Platform, processes: Processes, identify: () => SelfIdentity): Os {
  let self: SelfIdentity | undefined;
  return {
    platform,
    clock: systemClock,
    processes: { ...processes, snapshot: shareSnapshots(processes.snapshot) },
    identify() {
      self ??= identify();
      return self;
    },
    environment: () => process.env,
    electronPath: electronPath(),
    userId: () => process.getuid?.(),
    isOwnUsers,
    stateHome: () => stateHome(platform),
    stateFallback: (name) => stateFallback(platform, name),
    prepareLaunch: loadLauncher,
    launch: (request) => launch(request, platform),
    signal: (pid, signal) => (pid > 1 ? send(pid, signal) : 'denied'),
    signalGroup: (pgid, signal) => (pgid > 1 ? send(-pgid, signal) : 'denied'),
    isDenied: isAnothersProcess,
    guard: startGuard,
    heartbeat: { beatMs: 10_000, giveUpMs: 60_000, lookMs: 5000 },
    sample: sampleUsage,
    probe: { canConnect, answersOk },
    get isMainThread() {
      return builtin('node:worker_threads').isMainThread;
    },
    onSignal,
    signalListeners,
    onParent,
    emitWarning,
    raise: (signal) => raise(signal, platform),
  };
}

const warnedOf = new Set<string>();

function emitWarning(code: string, message: string): void {
  if (warnedOf.has(code)) return;
  warnedOf.add(code);
  process.emitWarning(message, { type: 'AgentSupervisorWarning', code });
}

let system: Os | undefined;

/** The operating system of this host, composed once. */
export function systemOs(): Os {
  system ??= composeSystem();
  return system;
}

function composeSystem(): Os {
  switch (process.platform) {
    case 'darwin':
      return {
        ...withLateIdentity(compose('darwin', darwinProcesses(), anonymousIdentity), darwinBootId),
        hasGroup,
        isOfEarlierBoot,
        startedAt: secondsMs,
        listeners: darwinListeners,
      };
    case 'win32':
      return {
        // Start times are absolute there, so they tell boots apart.
        ...withLateIdentity(
          compose('win32', windowsProcesses(), anonymousIdentity),
          async () => '',
        ),
        endTree: endWindowsTree,
        startedAt: fileTimeMs,
        listeners: windowsListeners,
      };
    default:
      return {
        ...composeLinux(),
        pss: linuxPss,
        oomKills: new OomKills(systemClock, linuxOomCounters()),
        rlimits: linuxRlimits(),
        listeners: linuxListeners(systemClock),
      };
  }
}

function composeLinux(): Os {
  const { snapshot, ...processes } = linuxProcesses(systemClock);
  return {
    ...compose('linux', { ...processes, snapshot: withSupply(snapshot) }, linuxIdentity),
    machineId: linuxMachineId,
    hasGroup,
    pidSupply: { now: readPidSupply, recent: recentPidSupply },
    startedAt: ticksMs,
    isGuardian,
    liveness: { listen: listenForLife, key: socketKey, ask: askForLife },
    isOfEarlierBoot,
  };
}

/** The identity where start time and boot take a child process to find out. */
function anonymousIdentity(): SelfIdentity {
  return {
    machine: hostname(),
    pid: process.pid,
    startTime: undefined,
    bootId: '',
    pidNamespace: '',
  };
}

/** Adds a method that looks up this host's start time and boot in a snapshot. */
function withLateIdentity(os: Os, bootId: () => Promise<string>): Os {
  return {
    ...os,
    async identifyAsync() {
      const [table, boot] = await Promise.all([os.processes.snapshot(), bootId()]);
      const self = os.identify();
      return { ...self, startTime: table.get(self.pid)?.startTime || undefined, bootId: boot };
    },
  };
}

/**
 * Tells whether a process is running; false for a zombie, for 0, negatives and non-integers. A
 * process of another user counts as running.
 */
export function isProcessAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  const { read } = systemOs().processes;
  try {
    if (read !== undefined) return read(pid)?.alive ?? false;
  } catch {
    // Without a free file descriptor, fall back to the system call.
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** True if a process of another user, which `/proc` may hide, has this pid. */
export function isAnothersProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
