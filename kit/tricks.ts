// Programs that lose, hide or overwrite their environment, and how they are started and seen.
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { SupervisorOptions } from '../src/index.ts';
import { type Area, GRACE_MS, spawned } from './containment.ts';
import { endByIdentity, eventually, type ProcessRow, readRow } from './process-table.ts';

/** A program with a trick that has escaped supervisors before, as a shell script in its own folder. */
export interface Trick {
  readonly name: string;
  /** Programs that it needs, by absolute path. */
  readonly needs: readonly string[];
  /** The user that can run it. */
  readonly as: 'root' | 'user' | 'anyone';
  /** Starts it, and ends when it is up. */
  readonly script: string;
  /** The least number of processes that it leaves running. */
  readonly processes?: number;
  /** `true` if it acts only when it is asked to end. */
  readonly onTerm?: boolean;
}

/** It exits by itself, as everything here does; a control waits for that. */
const LIFE_S = 90;
const SLEEP = `sleep ${LIFE_S}`;
const PYTHON = '/usr/bin/python3';
/** Waits until a file exists. */
const until = (file: string): string =>
  `i=0; until [ -e ${file} ] || [ $i -ge 200 ]; do sleep 0.05; i=$((i+1)); done`;
const background = (command: string): string => `(${command} >/dev/null 2>&1 </dev/null &)`;
const python = (...lines: readonly string[]): string =>
  background(
    `env -i setsid ${PYTHON} -c '${['import ctypes, os, signal, subprocess, threading, time', 'c = ctypes.CDLL(None)', ...lines].join('\n')}'`,
  );

export const TRICKS: readonly Trick[] = [
  {
    name: 'ssh-agent, which forbids to look at its memory',
    needs: ['/usr/bin/ssh-agent'],
    as: 'anyone',
    script: 'ssh-agent -a "$PWD/agent" >/dev/null',
  },
  {
    name: 'gpg-agent, which does so, too',
    needs: ['/usr/bin/gpg-agent'],
    as: 'anyone',
    script: 'mkdir -m 700 gnupg; gpg-agent --homedir "$PWD/gnupg" --daemon >/dev/null 2>&1',
  },
  {
    name: 'a program of mode 0711',
    needs: ['/bin/sleep'],
    as: 'anyone',
    script: `cp /bin/sleep sleeper; chmod 0711 sleeper; ${background(`setsid ./sleeper ${LIFE_S}`)}`,
  },
  {
    name: 'redis, which overwrites its environment with its title',
    needs: ['/usr/bin/redis-server'],
    as: 'anyone',
    script: `redis-server --port 0 --unixsocket "$PWD/redis" --daemonize yes --save "" --logfile "$PWD/log" >/dev/null; ${until('redis')}`,
  },
  {
    name: 'nginx, a master and its worker',
    needs: ['/usr/sbin/nginx'],
    as: 'anyone',
    processes: 2,
    script: [
      'echo "pid $PWD/pid; error_log $PWD/error; worker_processes 1; events {}',
      'http { access_log off; client_body_temp_path $PWD/b; proxy_temp_path $PWD/p; fastcgi_temp_path $PWD/f; uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/s; server { listen unix:$PWD/http; } }" > conf',
      `/usr/sbin/nginx -p "$PWD" -c "$PWD/conf" 2>/dev/null; ${until('http')}`,
    ].join('\n'),
  },
  {
    name: 'chromium, which clears the environment of most of its processes',
    needs: ['/usr/bin/chromium'],
    as: 'anyone',
    processes: 4,
    script: `${background('HOME=$PWD setsid chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$PWD/profile" --remote-debugging-port=0 about:blank')}; ${until('profile/DevToolsActivePort')}`,
  },
  {
    name: 'a title by Python’s setproctitle',
    needs: [PYTHON, '/usr/lib/python3/dist-packages/setproctitle'],
    as: 'anyone',
    script: `${background(`setsid ${PYTHON} -c 'import setproctitle, time; setproctitle.setproctitle("x" * 5000); open("up", "w"); time.sleep(${LIFE_S})'`)}; ${until('up')}`,
  },
  {
    name: 'a title by perl’s $0',
    needs: ['/usr/bin/perl'],
    as: 'anyone',
    script: `${background(`setsid perl -e '$0 = "x" x 5000; open(F, ">up"); close(F); sleep ${LIFE_S}'`)}; ${until('up')}`,
  },
  {
    name: 'env -i, in a session of its own, by a double fork',
    needs: ['/usr/bin/env'],
    as: 'anyone',
    script: background(`env -i setsid ${SLEEP}`),
  },
  {
    name: 'PR_SET_DUMPABLE 0, without an environment',
    needs: [PYTHON],
    as: 'anyone',
    script: `${python('c.prctl(4, 0)', 'open("up", "w")', `time.sleep(${LIFE_S})`)}; ${until('up')}`,
  },
  {
    name: 'a main thread that has exited',
    needs: [PYTHON],
    as: 'anyone',
    script: `${python(`threading.Thread(target=lambda: (open("up", "w"), time.sleep(${LIFE_S}))).start()`, 'c.syscall(60, 0)')}; ${until('up')}`,
  },
  {
    name: '500 processes on SIGTERM',
    needs: [PYTHON],
    as: 'anyone',
    onTerm: true,
    script: `${python(
      'def spread(*_):',
      '  for i in range(500): subprocess.Popen(["sleep", "20"], env={}, start_new_session=True)',
      '  os._exit(0)',
      'signal.signal(15, spread)',
      'open("up", "w")',
      `time.sleep(${LIFE_S})`,
    )}; ${until('up')}`,
  },
  {
    name: 'a script that starts itself again on SIGTERM',
    needs: ['/usr/bin/setsid'],
    as: 'anyone',
    onTerm: true,
    script: [
      `echo 'trap "env -i setsid sh ./again >/dev/null 2>&1 & exit" TERM; touch up; i=0; while [ $i -lt ${LIFE_S * 10} ]; do sleep 0.1; i=$((i+1)); done' > again`,
      `${background('env -i setsid sh ./again')}; ${until('up')}`,
    ].join('\n'),
  },
  {
    name: 'a PID namespace',
    needs: ['/usr/bin/unshare'],
    as: 'root',
    script: `${background(`env -i setsid unshare --pid --fork sh -c "touch up; ${SLEEP}"`)}; ${until('up')}`,
  },
  {
    name: 'a user namespace',
    needs: ['/usr/bin/unshare'],
    as: 'anyone',
    script: `${background(`env -i setsid unshare --user --map-root-user --pid --fork sh -c "touch up; ${SLEEP}"`)}; ${until('up')}`,
  },
  {
    name: 'another user, by root',
    needs: ['/usr/bin/setpriv'],
    as: 'root',
    script: `chmod 777 .; ${background(`env -i setsid setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "touch up; exec ${SLEEP}"`)}; ${until('up')}`,
  },
  {
    name: 'a child that is stopped (SIGSTOP)',
    needs: ['/usr/bin/setsid'],
    as: 'anyone',
    script: `${background(`env -i setsid sh -c 'touch up; kill -STOP $$; ${SLEEP}'`)}; ${until('up')}`,
  },
];

/** Lists the needs of a trick that are missing here. */
export function missingFor({ needs }: Trick): readonly string[] {
  return needs.filter((path) => !existsSync(path));
}

/**
 * Finds the live processes whose working folder is this one, or that name it in an argument. Neither a
 * cleared environment nor a changed title hides them. One whose main thread has exited is found by its
 * threads.
 */
function findByFolder(folder: string): ProcessRow[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const row = readRow(Number(name));
    if (row === undefined) return threadsIn(name, folder) ? [threadOf(name)] : [];
    return row.args.some((arg) => arg.includes(folder)) || linkOf(`/proc/${name}/cwd`) === folder
      ? [row]
      : [];
  });
}

function threadsIn(pid: string, folder: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).some(
      (thread) => linkOf(`/proc/${pid}/task/${thread}/cwd`) === folder,
    );
  } catch {
    return false;
  }
}

function threadOf(pid: string): ProcessRow {
  const number = Number(pid);
  const rest = { ppid: 0, pgid: 0, sid: 0, state: 'Z', startTime: '', args: [] };
  return { pid: number, command: 'a thread of an exited main thread', ...rest };
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** The ways in which a host or its process ends. */
export const ENDS = [
  'its own end',
  'terminate',
  'stop',
  'the host’s death',
  'the next start',
] as const;
export type TrickEnd = (typeof ENDS)[number];

export interface TrickRun {
  readonly options?: SupervisorOptions;
  /** Longest wait for the death of processes on a busy machine. @default three times the grace */
  readonly patienceMs?: number;
  /** A command prefix for the host, such as `setpriv`. */
  readonly through?: readonly string[];
}

/** The id of a user that owns nothing. */
export const NOBODY = 65534;
/** A command prefix that runs a program as that user. */
export const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];

const EMPTY_LOOKS = 10;

/** Makes one host run tricks, ends them, and names those with a live process. */
export async function endTricks(
  area: Area,
  tricks: readonly Trick[],
  how: TrickEnd,
  { options, through = [], patienceMs = 3 * GRACE_MS }: TrickRun = {},
): Promise<string[]> {
  const isNobody = through.length > 0;
  if (isNobody) for (const path of [area.folder, area.stateDir]) chownSync(path, NOBODY, NOBODY);
  const launch = { options: { pool: { hardCap: 40 }, ...options }, through };
  const host = await area.readyHost(launch);
  await host.ask({ do: 'start' });
  const running: {
    readonly id: string;
    readonly pid: number;
    readonly trick: Trick;
    readonly folder: string;
  }[] = [];
  for (const [at, trick] of tricks.entries()) {
    const folder = join(area.folder, `trick-${at}`);
    mkdirSync(folder);
    if (isNobody) chownSync(folder, NOBODY, NOBODY);
    // Until all are seen: a look does not find a process that is gone before it.
    const rest = how === 'its own end' ? 'until [ -e end ]; do sleep 0.05; done' : SLEEP;
    const request = {
      command: 'sh',
      args: ['-c', `${trick.script}\necho stands\n${rest}`],
      cwd: folder,
      kind: 'tool',
    };
    running.push({ ...(await spawned(host, request)), trick, folder });
  }
  for (const { trick, folder, pid } of running) {
    // Leaves out the script itself and its own sleep.
    const others = () => findByFolder(folder).filter((row) => row.pid !== pid && row.ppid !== pid);
    const { name, processes = 1 } = trick;
    await eventually(() => others().length >= processes, {
      timeoutMs: 20_000,
      what: `${name} stands`,
    });
  }
  switch (how) {
    case 'its own end':
      for (const { folder } of running) writeFileSync(join(folder, 'end'), '');
      for (const { id } of running) await host.ask({ do: 'exited', id });
      break;
    case 'terminate':
      for (const { id } of running) await host.ask({ do: 'terminate', id });
      break;
    case 'stop':
      await host.ask({ do: 'stop' });
      break;
    case 'the host’s death':
      host.kill('SIGKILL');
      break;
    default: {
      endByIdentity(area.guardians());
      host.kill('SIGKILL');
      await host.exited;
      const next = await area.readyHost(launch);
      await next.ask({ do: 'start' });
    }
  }
  const lives = () => running.filter(({ folder }) => findByFolder(folder).length > 0);
  // One look can miss a process that is forked during it by one that then exits.
  let empty = 0;
  const isGone = (): boolean => {
    empty = lives().length === 0 ? empty + 1 : 0;
    return empty === EMPTY_LOOKS;
  };
  await eventually(isGone, { timeoutMs: patienceMs, everyMs: 20 }).catch(() => undefined);
  const left = lives();
  for (const { folder } of left) await endFolder(folder);
  return left.map(({ trick }) => trick.name);
}

function endOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It exited in between.
  }
}

/** Ends the live processes by pid: a process without a main thread shows no start time. */
async function endFolder(folder: string): Promise<void> {
  await eventually(() => {
    const rows = findByFolder(folder);
    for (const { pid } of rows) endOne(pid);
    return rows.length === 0;
  });
}
