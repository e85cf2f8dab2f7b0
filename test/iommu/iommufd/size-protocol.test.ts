import { describe, expect, test } from 'vitest';
import { operations } from '../../../src/iommu/iommufd/table.js';
import { ARG, NOWHERE, outcome } from '../client.js';
import { Session } from './context.js';

/** The table of section 3 of the reference: number, least size, whole size. */
const sizes: Record<string, readonly [number, number]> = {
  IOMMU_DESTROY: [8, 8],
  IOMMU_IOAS_ALLOC: [12, 12],
  IOMMU_IOAS_ALLOW_IOVAS: [24, 24],
  IOMMU_IOAS_COPY: [40, 40],
  IOMMU_IOAS_IOVA_RANGES: [32, 32],
  IOMMU_IOAS_MAP: [40, 40],
  IOMMU_IOAS_MAP_FILE: [40, 40],
  IOMMU_IOAS_UNMAP: [24, 24],
  IOMMU_OPTION: [24, 24],
  IOMMU_VFIO_IOAS: [12, 12],
  IOMMU_HWPT_ALLOC: [24, 48],
  IOMMU_GET_HW_INFO: [32, 40],
  IOMMU_HWPT_SET_DIRTY_TRACKING: [16, 16],
  IOMMU_HWPT_GET_DIRTY_BITMAP: [48, 48],
  IOMMU_HWPT_INVALIDATE: [32, 32],
  IOMMU_FAULT_QUEUE_ALLOC: [16, 16],
  IOMMU_VIOMMU_ALLOC: [24, 40],
  IOMMU_VDEVICE_ALLOC: [24, 24],
  IOMMU_IOAS_CHANGE_PROCESS: [8, 8],
  IOMMU_VEVENTQ_ALLOC: [28, 32],
  IOMMU_HW_QUEUE_ALLOC: [40, 40],
};

test('sizes of the reference', () => {
  const ours = operations.map((row) => [row.name, [row.minimum, row.argument.struct.size]]);
  expect(Object.fromEntries(ours)).toEqual(sizes);
});

describe.each(operations.map((row) => [row.name, row] as const))('%s refuses', (_, row) => {
  const withSize = (session: Session, size: number, length: number) => {
    const bytes = session.caller.map(ARG, length);
    bytes.writeUInt32LE(size);
    return bytes;
  };

  test('a size word that is not there, right number or not: EFAULT', async () => {
    const session = new Session();
    expect(await outcome(() => session.ioctl(row.number, NOWHERE))).toBe('EFAULT');
    expect(await outcome(() => session.ioctl(row.number | 0x40000000, NOWHERE))).toBe('EFAULT');
  });

  test('direction or type bits: ENOTTY', async () => {
    const session = new Session();
    withSize(session, row.argument.struct.size, row.argument.struct.size);
    expect(await outcome(() => session.ioctl(row.number | 0x40000000))).toBe('ENOTTY');
    expect(await outcome(() => session.ioctl(row.number & 0xff))).toBe('ENOTTY');
  });

  test('a size below the minimum: EINVAL', async () => {
    const session = new Session();
    withSize(session, row.minimum - 1, row.argument.struct.size);
    expect(await outcome(() => session.ioctl(row.number))).toBe('EINVAL');
  });

  test('a set byte past the struct: E2BIG; unset ones are fine', async () => {
    const session = new Session();
    const bytes = withSize(session, row.argument.struct.size + 5000, row.argument.struct.size + 5000);
    expect(await outcome(() => session.ioctl(row.number))).not.toBe('E2BIG');
    bytes.fill(0, 4);
    bytes[row.argument.struct.size + 4999] = 1;
    expect(await outcome(() => session.ioctl(row.number))).toBe('E2BIG');
  });

  test('a struct that is not all there: EFAULT', async () => {
    const session = new Session();
    withSize(session, row.argument.struct.size, row.argument.struct.size - 1);
    expect(await outcome(() => session.ioctl(row.number))).toBe('EFAULT');
  });
});

describe('other numbers', () => {
  test.each([0x3b79, 0x3b95, 0x3b75, 0x3b67])('%#: ENOTTY', async (number) => {
    expect(await outcome(() => new Session().ioctl(number, NOWHERE))).toBe('ENOTTY');
  });
});
