/** The data_fds: what reading, writing and poll answer, and when a session ends. */
import { describe, expect, test } from 'vitest';
import { MigState } from '../../../src/abi/vfio/index.js';
import { expectRefusal } from '../kit.js';
import { type Device, device, flagsOf, inert, Stream, saved } from './kit.js';

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = MigState;
const READY = 0x41;
const DEAD = 0x2041;
const memory = (one: Device): Buffer => one.rig.fn().bars[0]!.memory!;
const PAGE_RECORD = 16 + 16 + 4096;

describe('refusals', () => {
  test('a session that is over: ENODEV, whatever state the device is in', async () => {
    const ends: [number, number][] = [
      [STOP_COPY, STOP],
      [PRE_COPY, RUNNING],
      [PRE_COPY, RUNNING_P2P],
      [PRE_COPY_P2P, RUNNING_P2P],
    ];
    for (const [state, next] of ends) {
      const one = await device();
      const stream = await one.open(state);
      await one.set(next);
      await expectRefusal('ENODEV', () => stream.read());
      expect(stream.poll).toBe(DEAD);
      await expectRefusal('EINVAL', () => stream.precopyInfo());
      await one.open(PRE_COPY);
      await expectRefusal('ENODEV', () => stream.precopyInfo());
    }
  });

  test('so is one that a reset or the last close ended', async () => {
    const one = await device();
    const stream = await one.open(STOP_COPY);
    await one.reset();
    await expectRefusal('ENODEV', () => stream.read());
    const loading = await one.open(RESUMING);
    await one.reset();
    await expectRefusal('ENODEV', () => loading.write(Buffer.alloc(1)));
    const again = await one.open(PRE_COPY);
    one.client.close(one.fd);
    await expectRefusal('ENODEV', () => again.read());
    await expectRefusal('EINVAL', () => again.precopyInfo());
  });

  test('one that was loaded takes no more', async () => {
    const one = await device();
    const state = await saved(await device());
    const stream = await one.open(RESUMING);
    stream.write(state);
    await one.set(STOP);
    await expectRefusal('ENODEV', () => stream.write(Buffer.alloc(1)));
  });

  test('one direction each', async () => {
    const one = await device();
    expect(one.client.file((await one.open(STOP_COPY)).fd).write).toBeUndefined();
    await one.set(STOP);
    expect(one.client.file((await one.open(RESUMING)).fd).read).toBeUndefined();
  });
});

describe('stop and copy', () => {
  test('reads of any size come to the same bytes, then to the end of the file', async () => {
    const read = async (step: number) => {
      const one = await device();
      memory(one).fill(0x5a, 0x1000, 0x1800);
      const stream = await one.open(STOP_COPY);
      expect(stream.poll).toBe(READY);
      const bytes = stream.readAll(step);
      expect(stream.poll).toBe(READY);
      expect([stream.read().length, stream.read(0).length]).toEqual([0, 0]);
      return bytes;
    };
    const whole = await read(1 << 20);
    for (const step of [1, 7, 16, 4096, 4128]) expect(await read(step)).toEqual(whole);
  });

  test('pages of zeroes are not sent', async () => {
    const empty = (await saved(await device())).length;
    const one = await device();
    memory(one)[0x1234] = 1;
    expect((await saved(one)).length).toBe(empty + PAGE_RECORD);
  });

  test('what was read after the state changed stays as it was when the device stopped', async () => {
    const one = await device();
    memory(one)[0] = 1;
    const stream = await one.open(STOP_COPY);
    memory(one)[0] = 2;
    const bytes = stream.readAll();
    const other = await device();
    const loading = await other.open(RESUMING);
    loading.write(bytes);
    await other.set(RUNNING);
    expect(memory(other)[0]).toBe(1);
  });
});

describe('pre-copy', () => {
  test('initial bytes count down, then ENOMSG; what changes is dirty, and can be read once it was asked for', async () => {
    const one = await device();
    memory(one).fill(1, 0, 0x1000);
    const stream = await one.open(PRE_COPY);
    const { initialBytes, dirtyBytes, flags } = await stream.precopyInfo();
    expect([dirtyBytes, flags]).toEqual([0n, 0xdead]);
    stream.read(100);
    expect((await stream.precopyInfo()).initialBytes).toBe(initialBytes - 100n);
    expect(stream.read().length).toBe(Number(initialBytes) - 100);
    await expectRefusal('ENOMSG', () => stream.read());
    expect([stream.read(0).length, stream.poll]).toEqual([0, 0]);
    expect(await stream.precopyInfo()).toMatchObject({ initialBytes: 0n, dirtyBytes: 0n });
    memory(one)[0x2000] = 9;
    await expectRefusal('ENOMSG', () => stream.read());
    expect(await stream.precopyInfo()).toMatchObject({ initialBytes: 0n, dirtyBytes: BigInt(PAGE_RECORD) });
    expect(stream.poll).toBe(READY);
    expect(stream.read().length).toBe(PAGE_RECORD);
    await expectRefusal('ENOMSG', () => stream.read());
  });

  test('PRE_COPY to STOP_COPY goes on in the same file, by way of PRE_COPY_P2P or not', async () => {
    for (const bits of [5, 7]) {
      const functions = [inert({ migration: flagsOf(bits) })];
      const one = await device({ functions });
      memory(one).fill(1, 0, 0x1000);
      const stream = await one.open(PRE_COPY);
      const ahead = stream.read();
      memory(one)[0] = 7;
      if (bits === 7) expect((await one.set(PRE_COPY_P2P)).fd).toBe(-1);
      expect((await one.set(STOP_COPY)).fd).toBe(-1);
      const rest = stream.readAll();
      const other = await device({ functions });
      const loading = await other.open(RESUMING);
      for (const byte of Buffer.concat([ahead, rest])) loading.write(Buffer.from([byte]));
      await other.set(RUNNING);
      expect(memory(other)).toEqual(memory(one));
      expect(memory(other)[0]).toBe(7);
    }
  });

  test('PRE_COPY_P2P back to PRE_COPY keeps the session', async () => {
    const one = await device();
    const stream = await one.open(PRE_COPY_P2P);
    const { initialBytes } = await stream.precopyInfo();
    expect((await one.set(PRE_COPY)).fd).toBe(-1);
    expect((await stream.precopyInfo()).initialBytes).toBe(initialBytes);
  });

  test('poll wakes whoever waits for more', async () => {
    const one = await device();
    const stream = await one.open(PRE_COPY);
    stream.read();
    let woken = 0;
    expect(one.client.file(stream.fd).poll!(() => void woken++)).toBe(0);
    memory(one)[0] = 1;
    await stream.precopyInfo();
    expect(woken).toBe(1);
    await one.set(STOP_COPY);
    expect(woken).toBe(2);
    await one.set(STOP);
    expect(woken).toBe(3);
  });
});

test('a file that its client has closed costs nothing, and the state machine goes on', async () => {
  const one = await device();
  const stream = await one.open(PRE_COPY);
  one.client.close(stream.fd);
  expect(await one.set(STOP_COPY)).toEqual({ state: STOP_COPY, fd: -1 });
  await one.set(RUNNING);
  expect(await one.state()).toBe(RUNNING);
});

test('each session has a file of its own', async () => {
  const one = await device();
  const first = await one.open(STOP_COPY);
  await one.set(STOP);
  const second = await one.open(STOP_COPY);
  expect(second.fd).not.toBe(first.fd);
  await expectRefusal('ENODEV', () => new Stream(one.client, first.fd).read());
  expect(second.read().length).toBeGreaterThan(0);
});
