import { machineSlotsHealth } from '../inspect/machine-slots.ts';
import { ownersHealth, processesHealth } from '../inspect/processes.ts';
import { publicText } from '../inspect/public-text.ts';
import type {
  MachineHostHealth,
  MachineSlotsHealth,
  MachineWait,
  OwnerHealth,
  ProcessHealth,
} from '../inspect/report.ts';
import { type Survey, survey } from '../inspect/survey.ts';
import { sliced } from '../os/clock.ts';
import { bytes, type Cell, type Column, duration, type Paint, table } from './paint.ts';
import { plain } from './plain.ts';
import { onlooker, type Registry } from './registry.ts';

/** The running processes of all owners of a state directory. */
export interface View {
  readonly at: number;
  readonly owners: readonly OwnerHealth[];
  readonly processes: readonly ProcessHealth[];
  readonly machineSlots: readonly MachineSlotsHealth[];
}

/** Reads the registry and finds which of its processes are alive. */
export async function takeView(registry: Registry): Promise<View> {
  const { os } = registry;
  const context = await onlooker(registry);
  const found = await survey(context);
  const view = await viewOf(found, registry, await usageOf(found, os));
  return { ...view, machineSlots: machineSlotsHealth(found, context, publicText(os)) };
}

async function usageOf(found: Survey, os: Registry['os']) {
  const members = found.owners.flatMap(({ records }) => records.flatMap((one) => one.members));
  return os.sample([...new Set(members.map(({ pid }) => pid))]);
}

async function viewOf(
  found: Survey,
  { os }: Registry,
  usage: Awaited<ReturnType<typeof usageOf>>,
): Promise<Omit<View, 'machineSlots'>> {
  const show = publicText(os);
  const nowMs = os.clock.now();
  const known = { nowMs, usage, sessions: new Map(), publicText: show, live: () => undefined };
  const context = { ...known, rest: sliced(os.clock) };
  return {
    at: nowMs,
    owners: ownersHealth(found, show),
    processes: await processesHealth(found, context),
  };
}

const COLUMNS: readonly Column[] = [
  { title: 'PROCESS', leastWidth: 13 },
  { title: 'PID', align: 'right' },
  { title: 'KIND', leastWidth: 4 },
  { title: 'SESSION', leastWidth: 6 },
  { title: 'AGE', align: 'right' },
  { title: 'CPU', align: 'right' },
  { title: 'MEMORY', align: 'right' },
  { title: 'COMMAND', leastWidth: 8 },
];

/** Draws the processes as a tree: hosts, their processes, and the descendants of those. */
export function treeLines({ owners, processes }: View, paint: Paint, maxWidth?: number): string[] {
  const rows = owners.flatMap((owner) => {
    const own = processes.filter((process) => process.owner === owner.instance);
    return [
      ownerRow(owner),
      ...own.flatMap((one, index) => processRows(one, index === own.length - 1)),
    ];
  });
  return table(COLUMNS, rows, paint, maxWidth);
}

const SLOT_COLUMNS: readonly Column[] = [
  { title: 'SLOTS', leastWidth: 13 },
  { title: 'PID', align: 'right' },
  { title: 'HOLDS', align: 'right' },
  { title: 'WAITS', align: 'right' },
  { title: 'LONGEST', align: 'right' },
  { title: 'WHY', leastWidth: 8 },
];

const REASONS: Readonly<Record<MachineWait['why'], string>> = {
  'slots-held': 'all slots are held',
  'others-first': 'others have waited longer',
  'host-silent': 'its host does not answer',
  'host-dead': 'its host is dead',
};

/** Draws who holds and who waits for the slots that the hosts of the machine share. */
export function slotLines({ machineSlots }: View, paint: Paint, maxWidth?: number): string[] {
  const rows = machineSlots.flatMap(({ kind, limit, held, hosts }) => [
    [`${held} of ${limit}${kind === null ? '' : `, ${plain(kind)}`}`, '', '', '', '', ''],
    ...hosts.map(slotRow),
  ]);
  return rows.length === 0 ? [] : table(SLOT_COLUMNS, rows, paint, maxWidth);
}

function slotRow({ instance, pid, held, waiting }: MachineHostHealth): Cell[] {
  const [first] = waiting.toSorted((a, b) => b.waitedMs - a.waitedMs);
  return [
    `host ${instance.slice(0, 8)}`,
    String(pid),
    String(held),
    String(waiting.length),
    first === undefined ? '' : duration(first.waitedMs),
    first === undefined ? '' : REASONS[first.why],
  ];
}

/** Draws the processes as a list, in the given order. */
export function listLines(
  processes: readonly ProcessHealth[],
  paint: Paint,
  maxWidth?: number,
): string[] {
  const rows = processes.map((process) => cellsOf(process, process.id));
  return table(COLUMNS, rows, paint, maxWidth);
}

function ownerRow({ instance, pid, verdict }: OwnerHealth): Cell[] {
  const isGone = verdict === 'dead' || verdict === 'rebooted';
  const style = isGone ? 'red' : verdict === 'alive' ? 'bold' : 'yellow';
  return [{ text: `host ${instance.slice(0, 8)}`, style }, String(pid), { text: verdict, style }];
}

function processRows(process: ProcessHealth, isLast: boolean): Cell[][] {
  const [branch, stem] = isLast ? ['└─ ', '   '] : ['├─ ', '│  '];
  const { descendants, pid } = process;
  const rows: Cell[][] = [cellsOf(process, `${branch}${process.id}`)];
  const known = new Set(descendants.map((one) => one.pid));
  // A descendant whose parent is gone is drawn below the supervised process.
  const childrenOf = (parent: number) =>
    descendants.filter(({ ppid }) => (parent === pid ? !known.has(ppid) : ppid === parent));
  const grow = (parent: number, before: string): void => {
    const children = childrenOf(parent);
    for (const [index, child] of children.entries()) {
      const isEnd = index === children.length - 1;
      const text = `${before}${isEnd ? '└─' : '├─'}`;
      rows.push([
        { text, style: 'dim' },
        { text: String(child.pid), style: 'dim' },
        ...['', '', '', '', ''],
        { text: plain(child.command), style: 'dim' },
      ]);
      grow(child.pid, `${before}${isEnd ? '  ' : '│ '}`);
    }
  };
  grow(pid, stem);
  return rows;
}

function remarksOn({ outlivesHost, disowned, cleanup, keys }: ProcessHealth): string[] {
  const fate = disowned ? 'disowned' : 'outlives its host';
  return [
    ...(outlivesHost ? [fate] : []),
    ...(cleanup === null ? [] : [`cleanup: ${plain(cleanup)}`]),
    ...keys.map(plain),
  ];
}

function cellsOf(process: ProcessHealth, name: string): Cell[] {
  const { pid, kind, sessionId, ageMs, cpuPercent, rssBytes, command, identity } = process;
  const remarks = [identity === 'alive' ? [] : identity, remarksOn(process)].flat();
  const what = [plain(command), ...remarks.map((remark) => `(${remark})`)].join(' ');
  const isBad = identity === 'unproven' || identity === 'zombie';
  return [
    identity === 'alive' ? name : { text: name, style: isBad ? 'yellow' : 'dim' },
    String(pid),
    plain(kind),
    plain(sessionId ?? ''),
    duration(ageMs),
    cpuPercent === null ? '' : `${cpuPercent.toFixed(1)}%`,
    bytes(rssBytes),
    what,
  ];
}
