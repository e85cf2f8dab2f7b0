/** VFIO_MIG_GET_PRECOPY_INFO, on a data_fd that saves; how its numbers move: data-fd.test.ts. */
import { expect, test } from 'vitest';
import { Feature, MigrationIoctl, MigState, precopyInfo } from '../../../src/abi/vfio/index.js';
import { ARGUMENT, expectRefusal, le32 } from '../kit.js';
import { device, SET } from './kit.js';

const { STOP, STOP_COPY, RESUMING, PRE_COPY } = MigState;

test('ENOTTY, EFAULT, EINVAL', async () => {
  const one = await device();
  const stream = await one.open(PRE_COPY);
  const command = MigrationIoctl.VFIO_MIG_GET_PRECOPY_INFO;
  await expectRefusal('ENOTTY', () => one.client.ioctl(stream.fd, command + 1));
  await expectRefusal('EFAULT', () => one.client.ioctl(stream.fd, command, 0n));
  one.client.argument(le32(23, 0, 0, 0, 0, 0));
  await expectRefusal('EINVAL', () => one.client.ioctl(stream.fd, command));
  one.client.caller.map(ARGUMENT, le32(24, 0, 0, 0, 0, 0), { writable: false });
  await expectRefusal('EFAULT', () => one.client.ioctl(stream.fd, command));
  await one.set(STOP_COPY);
  await expectRefusal('EINVAL', () => stream.precopyInfo());
  await one.set(STOP);
  const loading = await one.open(RESUMING);
  expect(one.client.file(loading.fd).ioctl).toBeUndefined();
  expect(precopyInfo.size).toBe(24);
});

test('once opted in, flags of precopy_info are an answer: nothing starts over here', async () => {
  const one = await device();
  const stream = await one.open(PRE_COPY);
  expect((await stream.precopyInfo(0xffff_ffff)).flags).toBe(0xffff_ffff);
  await one.feature(SET | Feature.MIG_PRECOPY_INFOv2);
  expect((await stream.precopyInfo(0xffff_ffff)).flags).toBe(0);
});
