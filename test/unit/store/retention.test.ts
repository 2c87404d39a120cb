// What may be forgotten, by a wall clock that is set, stands still and is wrong.
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeOs } from '../../../kit/fake-os.ts';
import { runs } from '../../../kit/property.ts';
import { clockPath } from '../../../src/store/layout.ts';
import {
  type ClockHistory,
  look,
  observeClock,
  retentionOf,
} from '../../../src/store/retention.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MONTH_MS = 30 * DAY_MS;
const T = Date.UTC(2026, 10, 23);

/** A machine: its true time, how far its clock is off, and its boot. */
class Machine {
  trueMs = T;
  offMs = 0;
  boot = 1;
  bootedAtMs = T - HOUR_MS;
  sleptMs = 0;
  known: ClockHistory | undefined;

  pass(ms: number): this {
    this.trueMs += ms;
    return this;
  }

  sleep(ms: number): this {
    this.sleptMs += ms;
    return this.pass(ms);
  }

  reboot(): this {
    this.boot++;
    this.bootedAtMs = this.trueMs;
    this.sleptMs = 0;
    return this;
  }

  set(offMs: number): this {
    this.offMs = offMs;
    return this;
  }

  get wallMs(): number {
    return this.trueMs + this.offMs;
  }

  look(): this {
    const sinceBootMs = this.trueMs - this.bootedAtMs - this.sleptMs;
    this.known = look(this.known, { at: this.wallMs, bootId: `boot-${this.boot}`, sinceBootMs });
    return this;
  }

  isOver(stampMs: number): boolean {
    return this.known !== undefined && retentionOf(this.known).isOver(stampMs, MONTH_MS);
  }
}

describe('what nobody has seen for a month', () => {
  it('is forgotten where time was seen to pass, and not a minute before', () => {
    const machine = new Machine().look();
    machine.pass(MONTH_MS).look();
    expect(machine.isOver(T)).toBe(false);
    machine.pass(60_000).look();
    expect(machine.isOver(T)).toBe(true);
  });

  it('is not forgotten by the first look of all', () => {
    expect(new Machine().look().isOver(0)).toBe(false);
  });

  it.each([31, 400, 40_000])('is not forgotten by one look that is %d days ahead', (days) => {
    for (const isRebooted of [false, true]) {
      const machine = new Machine().look().pass(HOUR_MS).look();
      if (isRebooted) machine.pass(HOUR_MS).reboot();
      machine
        .set(days * DAY_MS)
        .look()
        .pass(30_000)
        .look();
      expect(machine.isOver(T)).toBe(false);
      machine.pass(HOUR_MS).set(0).look();
      expect(machine.isOver(T)).toBe(false);
      // Nor later, until its own month is over.
      machine.pass(25 * DAY_MS).look();
      expect(machine.isOver(T)).toBe(false);
      machine.pass(6 * DAY_MS).look();
      expect(machine.isOver(T)).toBe(true);
    }
  });

  it('is forgotten on a machine that was off, once a later look confirms it', () => {
    const machine = new Machine().look().pass(HOUR_MS).look();
    machine
      .pass(40 * DAY_MS)
      .reboot()
      .look();
    expect(machine.isOver(T)).toBe(false);
    machine
      .pass(25 * HOUR_MS)
      .reboot()
      .look();
    expect(machine.isOver(T)).toBe(true);
  });

  it('is forgotten on a machine that is switched off or asleep every night', () => {
    for (const isOff of [true, false]) {
      const machine = new Machine().look();
      for (let day = 0; day < 40; day++) {
        machine.pass(8 * HOUR_MS).look();
        if (isOff)
          machine
            .pass(16 * HOUR_MS)
            .reboot()
            .look();
        else machine.sleep(16 * HOUR_MS).look();
      }
      expect(machine.isOver(T)).toBe(true);
      expect(machine.isOver(machine.trueMs - 20 * DAY_MS)).toBe(false);
    }
  });

  it('counts from when a clock was set right, if it was stamped by one that was far behind', () => {
    const machine = new Machine().look().pass(HOUR_MS).look();
    machine.set(-50 * 365 * DAY_MS).look();
    const stampMs = machine.pass(60_000).look().wallMs;
    machine.pass(60_000).set(0).look();
    for (let day = 0; day < 29; day++) {
      machine.pass(DAY_MS).look();
      expect(machine.isOver(stampMs)).toBe(false);
    }
    machine
      .pass(3 * DAY_MS)
      .look()
      .pass(HOUR_MS)
      .look();
    expect(machine.isOver(stampMs)).toBe(true);
  });

  it('is forgotten too early by no clock that jumps and comes back, however often it is looked at', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('pass' as const), ms: fc.nat(3 * DAY_MS) }),
      fc.record({ do: fc.constant('set' as const), ms: fc.nat(4000 * DAY_MS) }),
      fc.record({ do: fc.constant('reboot' as const), ms: fc.nat(HOUR_MS) }),
      fc.record({ do: fc.constant('sleep' as const), ms: fc.nat(3 * DAY_MS) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const machine = new Machine().look();
        for (const one of steps) {
          if (machine.trueMs - T > 29 * DAY_MS) break;
          if (one.do === 'set') {
            // Ahead for less than a day.
            machine.set(one.ms).look().pass(HOUR_MS).look().set(0).look();
          } else if (one.do === 'reboot') machine.pass(one.ms).reboot().look();
          else if (one.do === 'sleep') machine.sleep(one.ms).look();
          else machine.pass(one.ms).look();
          if (machine.trueMs - T <= MONTH_MS) expect(machine.isOver(T)).toBe(false);
        }
      }),
      runs(500),
    );
  });

  it('would be forgotten by age alone', () => {
    const machine = new Machine()
      .look()
      .set(31 * DAY_MS)
      .look();
    expect(machine.wallMs - T).toBeGreaterThan(MONTH_MS);
  });
});

describe('the file of the clock', () => {
  let stateDir = '';
  let os: FakeOs;
  const observe = (dryRun = false) => observeClock({ os, stateDir, bootId: 'boot', dryRun });
  const path = () => clockPath(stateDir);

  beforeEach(() => {
    os = new FakeOs();
    stateDir = mkdtempSync(join(tmpdir(), 'agent-supervisor-clock-'));
  });
  afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

  it('is written when there is news, and not by who only looks', async () => {
    observe(true);
    expect(existsSync(path())).toBe(false);
    observe();
    const first = readFileSync(path(), 'utf8');
    await os.clock.advance(30_000);
    observe();
    expect(readFileSync(path(), 'utf8')).toBe(first);
    await os.clock.advance(HOUR_MS);
    observe();
    expect(readFileSync(path(), 'utf8')).not.toBe(first);
  });

  it('lets days pass', async () => {
    const stampMs = os.clock.now();
    observe();
    await os.clock.advance(2 * DAY_MS);
    expect(observe().isOver(stampMs, DAY_MS)).toBe(true);
  });

  it.each(['', 'noise', '{"version":9}', '{"version":1,"last":{"at":-1}}'])(
    'that says %j says nothing',
    (text) => {
      writeFileSync(path(), text);
      expect(observe().isOver(0, DAY_MS)).toBe(false);
      expect(JSON.parse(readFileSync(path(), 'utf8'))).toMatchObject({ version: 1 });
    },
  );

  it('is not read through a link, nor written where there is no folder', () => {
    symlinkSync('/etc/passwd', path());
    expect(observe().isOver(0, DAY_MS)).toBe(false);
    rmSync(stateDir, { recursive: true });
    expect(observe().isOver(0, DAY_MS)).toBe(false);
  });
});
