/** What comes in between: resets, closes and unplugging while a device is being stopped; and models with memory of their own. */
import { describe, expect, test } from 'vitest';
import { MigState } from '../../../src/abi/vfio/index.js';
import { type ModelDefinition, StateRefused } from '../../../src/devices/contract.js';
import { BDF, expectRefusal } from '../kit.js';
import { all, type Device, device, load, saved } from './kit.js';

const { STOP, RUNNING, STOP_COPY, RUNNING_P2P, PRE_COPY, RESUMING } = MigState;

/** A model that stops when it is told that it may, and has 8 KiB and a number besides its BAR. */
function slow() {
  const log: string[] = [];
  const disk = Buffer.alloc(8192);
  const control = { log, disk, number: 0, stateSize: 4, held: false, stopped: () => {} };
  const definition: ModelDefinition = {
    name: 'slow',
    description: 'takes its time to stop',
    optionsSchema: {},
    stateVersion: 1,
    shape: () => ({
      ...{ vendor: 0x1234, device: 1, classCode: 0x088000 },
      bars: [{ index: 0, kind: 'memory32', size: 16 }],
      pcie: { type: 'rc-endpoint', flr: true },
    }),
    create: () => ({
      reset: () => void log.push('reset'),
      migration: {
        memories: [disk],
        pause() {
          log.push('pause');
          if (!control.held) return;
          return new Promise<void>((resolve) => {
            control.stopped = resolve;
          });
        },
        resume: () => void log.push('resume'),
        save() {
          const state = Buffer.alloc(control.stateSize);
          state.writeUInt32LE(control.number);
          return state;
        },
        load(state) {
          if (state.length !== 4) throw new StateRefused('four bytes');
          control.number = Buffer.from(state).readUInt32LE();
        },
      },
    }),
  };
  return { control, definition };
}

async function slowDevice() {
  const { control, definition } = slow();
  const functions = [
    { bdf: BDF, model: 'slow', pcie: { type: 'rc-endpoint', flr: true } as const, migration: all },
  ];
  const one = await device({ functions, models: [definition] });
  control.log.length = 0;
  return { one, control };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** On its way to `state`, and not there: the model has not stopped yet. */
async function onTheWay(state: number) {
  const made = await slowDevice();
  made.control.held = true;
  const arriving = made.one.set(state);
  arriving.catch(() => undefined);
  await turn();
  expect(made.control.log).toEqual(['pause']);
  return { ...made, arriving };
}

describe('while the device is being stopped', () => {
  test('another request waits', async () => {
    const { one, control, arriving } = await onTheWay(STOP);
    const asking = one.rig.vfio.deviceOf(one.rig.fn())!.opened!.migration!.getState();
    await turn();
    control.stopped();
    await arriving;
    expect(await asking).toBe(STOP);
  });

  test('a reset takes effect once it has stopped: RUNNING', async () => {
    const { one, control, arriving } = await onTheWay(STOP_COPY);
    await one.client.ioctl(one.fd, 0x3b6f);
    control.stopped();
    await arriving;
    control.held = false;
    expect(await one.state()).toBe(RUNNING);
    expect(control.log).toEqual(['pause', 'reset', 'resume']);
  });

  test('the last close: the model goes on, and the request is refused', async () => {
    const { one, control, arriving } = await onTheWay(STOP);
    one.client.close(one.fd);
    expect(control.log).not.toContain('resume');
    control.stopped();
    await expectRefusal('ENODEV', () => arriving);
    expect(control.log.filter((line) => line !== 'reset')).toEqual(['pause', 'resume']);
  });

  test('the last close when it has stopped', async () => {
    const { one, control } = await slowDevice();
    await one.set(STOP);
    one.client.close(one.fd);
    expect(control.log.at(-1)).toBe('resume');
  });

  test('the function is pulled out: ENODEV', async () => {
    const { one, control, arriving } = await onTheWay(RUNNING_P2P);
    void one.rig.host.unplug(one.rig.fn(), { surprise: true });
    control.stopped();
    await expectRefusal('ENODEV', () => arriving);
  });
});

test('pulled out while it is copied ahead: what was copied can be read, and nothing is added', async () => {
  const { one } = await slowDevice();
  const stream = await one.open(PRE_COPY);
  const removing = one.rig.host.unplug(one.rig.fn(), { surprise: true });
  expect(stream.read().length).toBeGreaterThan(0);
  await expectRefusal('ENODEV', () => stream.precopyInfo());
  one.client.close(one.fd);
  await removing;
  await expectRefusal('ENODEV', () => stream.read());
});

describe("a model's own part", () => {
  test('memory and state are carried', async () => {
    const here = await slowDevice();
    here.control.disk.fill('on the disk', 0x1000);
    here.control.number = 4711;
    const there = await slowDevice();
    await load(there.one, await saved(here.one));
    expect(there.control.disk).toEqual(here.control.disk);
    expect(there.control.number).toBe(4711);
    // A BAR of 16 bytes is a page of 16 bytes.
    expect(there.one.rig.fn().bars[0]!.memory).toHaveLength(16);
  });

  test('memory is copied ahead, and again where it changes', async () => {
    const here = await slowDevice();
    here.control.disk.fill(1);
    const stream = await here.one.open(PRE_COPY);
    stream.read();
    here.control.disk[0x1000] = 2;
    expect((await stream.precopyInfo()).dirtyBytes).toBe(4096n + 32n);
    const half = stream.read();
    expect(half.length).toBe(4128);
  });

  test('a state that it refuses: EINVAL', async () => {
    const here = await slowDevice();
    here.control.stateSize = 5;
    const there = await slowDevice();
    const stream = await there.one.open(RESUMING);
    stream.write(await saved(here.one));
    await expectRefusal('EINVAL', () => there.one.set(STOP));
    expect(await there.one.state()).toBe(RESUMING);
  });

  test('one of more than 1 MiB is a bug of the model', async () => {
    const { one, control } = await slowDevice();
    control.stateSize = (1 << 20) + 1;
    await expect(one.set(STOP_COPY)).rejects.toThrow('more than 1048576');
    expect(await (one as Device).state()).toBe(STOP);
  });
});
