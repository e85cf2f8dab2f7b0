/** Features 1, 2, 9 and 12: refusals first, then every state to every state on an open device. */
import { describe, expect, test } from 'vitest';
import { Feature, MigState } from '../../../src/abi/vfio/index.js';
import { expectRefusal, le32, modelled, refusal } from '../kit.js';
import { tables } from './expected-ways.js';
import { device, flagsOf, GET, inert, PROBE, SET, saved } from './kit.js';

const { MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE, MIG_PRECOPY_INFOv2 } = Feature;
const { ERROR, STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = MigState;
const eight = Buffer.alloc(8);

describe('refusals', () => {
  test('a device that does not migrate: ENOTTY, and EINVAL for feature 12', async () => {
    const one = await device({ functions: [modelled()] });
    for (const number of [MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE]) {
      await expectRefusal('ENOTTY', () => one.feature(PROBE | number));
      await expectRefusal('ENOTTY', () => one.feature(number));
    }
    for (const flags of [PROBE | SET, PROBE | GET, SET, 0])
      await expectRefusal('EINVAL', () => one.feature(flags | MIG_PRECOPY_INFOv2));
  });

  test('feature 12 without PRE_COPY: EINVAL', async () => {
    const one = await device({ functions: [inert({ migration: flagsOf(3) })] });
    await expectRefusal('EINVAL', () => one.feature(PROBE | SET | MIG_PRECOPY_INFOv2));
  });

  test('the operation not offered, neither, a payload too short, memory that is not there', async () => {
    const one = await device();
    await expectRefusal('EINVAL', () => one.feature(SET | MIGRATION, eight));
    await expectRefusal('EINVAL', () => one.feature(PROBE | SET | MIGRATION));
    await expectRefusal('EINVAL', () => one.feature(MIGRATION, eight));
    await expectRefusal('EINVAL', () => one.feature(GET | MIGRATION, Buffer.alloc(7)));
    await expectRefusal('EFAULT', () => one.feature(GET | MIGRATION, Buffer.alloc(0), 16));
    await expectRefusal('EINVAL', () => one.feature(GET | SET | MIG_DEVICE_STATE, eight));
    await expectRefusal('EINVAL', () => one.feature(SET | MIG_DEVICE_STATE, Buffer.alloc(7)));
    await expectRefusal('EFAULT', () => one.feature(SET | MIG_DEVICE_STATE, Buffer.alloc(0), 16));
    await expectRefusal('EINVAL', () => one.feature(SET | MIG_DATA_SIZE, eight));
    await expectRefusal('EINVAL', () => one.feature(GET | MIG_PRECOPY_INFOv2));
    for (const number of [MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE, MIG_PRECOPY_INFOv2])
      expect(await one.feature(PROBE | number, Buffer.alloc(0), 8)).toBe(0);
  });

  test('states that are none, and ERROR: EINVAL, with the struct written back', async () => {
    const one = await device();
    for (const state of [ERROR, 8, 0xffff_ffff]) {
      await expectRefusal('EINVAL', () => one.set(state));
      expect(one.answer).toEqual({ state, fd: -1 });
    }
    expect(await one.state()).toBe(RUNNING);
    expect(one.answer.fd).toBe(-1);
  });
});

test.each([1, 3, 5, 7])('MIGRATION tells flags %i', async (flags) => {
  const one = await device({ functions: [inert({ migration: flagsOf(flags) })] });
  await one.feature(GET | MIGRATION, eight);
  expect(one.live.readBigUInt64LE(8)).toBe(BigInt(flags));
});

test('MIG_DATA_SIZE is at least what a stop-and-copy comes to, in every state', async () => {
  const one = await device();
  one.rig.fn().bars[0]!.memory!.fill(0xa5);
  const size = async () => {
    await one.feature(GET | MIG_DATA_SIZE, eight);
    return Number(one.live.readBigUInt64LE(8));
  };
  const running = await size();
  const length = (await saved(one)).length;
  expect(length).toBeGreaterThan(0x4000);
  expect(running).toBeGreaterThanOrEqual(length);
  expect(await size()).toBe(running);
});

const short = ['ERROR', 'S', 'R', 'SC', 'RS', 'RP', 'PC', 'PP'];
const number = (name: string): number => short.indexOf(name);
/** The last steps that open a data_fd. */
const opening = new Set(['R PC', 'RP PP', 'S SC', 'S RS']);

describe.each(Object.entries(tables))('flags %s, from each state to each', (flags, table) => {
  const functions = [inert({ migration: flagsOf(Number(flags)) })];

  /** In state `from`, with a whole state written if that is RESUMING. */
  async function at(from: string) {
    const one = await device({ functions });
    const state = await saved(await device({ functions }));
    const answer = await one.set(number(from));
    if (from === 'RS') one.client.pwrite(answer.fd, 0n, state);
    return one;
  }

  for (const from of Object.keys(table))
    for (const to of short) {
      const cell = to === 'ERROR' ? 'EINVAL' : (table[from]![to] ?? 'EINVAL');
      test(`${from} to ${to}: ${cell || 'there already'}`, async () => {
        const one = await at(from);
        const outcome = await refusal(() => one.set(number(to)));
        const { state, fd } = one.answer;
        expect(state).toBe(number(to));
        if (cell === 'EINVAL') {
          expect([outcome, fd]).toEqual(['EINVAL', -1]);
          expect(await one.state()).toBe(number(from));
          return;
        }
        expect(outcome).toBe('no refusal');
        const [before, last] = [from, ...cell.split(' ').filter(Boolean)].slice(-2);
        const opens = cell !== '' && opening.has(`${before} ${last}`);
        expect(fd >= 0).toBe(opens);
        expect(await one.state()).toBe(number(to));
      });
    }
});

describe('ERROR', () => {
  /** A model whose load() fails in a way that is a bug, not a refusal. */
  const broken = async () => {
    const one = await device();
    const state = await saved(await device());
    const { fd } = await one.set(RESUMING);
    one.client.pwrite(fd, 0n, state);
    one.rig.fn().state.load = () => {
      throw new Error('a bug in the model');
    };
    await expect(one.set(STOP)).rejects.toThrow('a bug in the model');
    return one;
  };

  test('is where a load that went wrong leads, and only a reset leaves it', async () => {
    const one = await broken();
    expect(await one.state()).toBe(ERROR);
    for (const state of [STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY])
      await expectRefusal('EINVAL', () => one.set(state));
    expect(await one.set(ERROR)).toEqual({ state: ERROR, fd: -1 });
    await one.reset();
    expect(await one.state()).toBe(RUNNING);
  });
});

describe('resets and closes', () => {
  test('a reset in any state: RUNNING', async () => {
    for (const state of [STOP, STOP_COPY, RESUMING, PRE_COPY]) {
      const one = await device();
      await one.set(state);
      await one.reset();
      expect(await one.state()).toBe(RUNNING);
    }
  });

  test('so does FLR by configuration space', async () => {
    const one = await device();
    await one.set(STOP);
    const express = one.rig.fn().config.find(0x10)!.offset;
    one.pwrite((7n << 40n) + BigInt(express + 8), Buffer.from([0x30, 0xa9]));
    expect(await one.state()).toBe(RUNNING);
  });

  test('the next open finds it RUNNING, and flags of precopy_info off', async () => {
    const one = await device();
    await one.set(STOP);
    one.client.close(one.fd, 4, 3);
    const { device: fd } = await one.client.open();
    const again = Object.assign(Object.create(one), { fd }) as typeof one;
    expect(await again.state()).toBe(RUNNING);
  });

  test('a struct that can not be written is EFAULT, and the state has changed all the same', async () => {
    const one = await device();
    one.client.argument(le32(16, SET | MIG_DEVICE_STATE, STOP, 0));
    one.client.caller.unmap(0x10_0000n, 0x1000);
    one.client.caller.map(0x10_0000n, le32(16, SET | MIG_DEVICE_STATE, STOP, 0), { writable: false });
    await expectRefusal('EFAULT', () => one.client.ioctl(one.fd, 0x3b75));
    expect(await one.state()).toBe(STOP);
  });
});
