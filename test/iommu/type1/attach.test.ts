import { describe, expect, test } from 'vitest';
import { createType1 } from '../../../src/iommu/index.js';
import { fakeHost } from '../../../src/testkit/fake-host.js';
import { map, outcome, unmap } from '../client.js';
import { backend, group, MSI, RAM } from './backend.js';

const everything = { start: 0n, end: 2n ** 48n - 1n, type: 'reserved' } as const;

describe('attaching a group refuses', () => {
  test('while a mapping has no address: EBUSY, before all else', async () => {
    const target = await backend();
    await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    await unmap(target, target.caller, { flags: 4, iova: 0n, size: 0x1000n });
    expect(await outcome(() => target.type1.attachGroup(target.group))).toBe('EBUSY');
  });

  test('the same group again: EINVAL', async () => {
    const target = await backend();
    expect(await outcome(() => target.type1.attachGroup(target.group))).toBe('EINVAL');
  });

  test('a reserved region where something is mapped: EINVAL, and the window stays', async () => {
    const target = await backend();
    await map(target, target.caller, { vaddr: RAM, iova: 0x10000n, size: 0x1000n });
    const late = group(2, [MSI, { start: 0x10000n, end: 0x1ffffn, type: 'reserved' }]);
    expect(await outcome(() => target.type1.attachGroup(late))).toBe('EINVAL');
    expect(await map(target, target.caller, { vaddr: RAM, iova: 0x12000n, size: 0x1000n })).toBe(0);
  });

  test('no usable IOVA: EINVAL, before missing MSI isolation', async () => {
    const type1 = createType1(fakeHost({ iommu: { interruptRemapping: false } }), true);
    expect(await outcome(() => type1.attachGroup(group(1, [everything])))).toBe('EINVAL');
  });

  test('a second group that leaves no usable IOVA: EINVAL, and the window stays', async () => {
    const target = await backend();
    expect(await outcome(() => target.type1.attachGroup(group(2, [everything])))).toBe('EINVAL');
    expect(await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n })).toBe(0);
  });

  test('no interrupt remapping: EPERM, unless unsafe interrupts are allowed', async () => {
    const iommu = { interruptRemapping: false };
    expect(await outcome(() => createType1(fakeHost({ iommu }), true).attachGroup(group()))).toBe('EPERM');
    const modules = { vfio_iommu_type1: { allow_unsafe_interrupts: true } };
    expect(
      await outcome(() => createType1(fakeHost({ iommu, modules }), true).attachGroup(group())),
    ).toBeUndefined();
  });

  test('waits for a MAP_DMA under way', async () => {
    const target = await backend();
    const go = target.caller.holdPins();
    const mapping = map(target, target.caller, { vaddr: RAM, iova: 0x10000n, size: 0x1000n });
    await new Promise(setImmediate);
    const late = outcome(() =>
      target.type1.attachGroup(group(2, [{ start: 0n, end: 0xfffffn, type: 'reserved' }])),
    );
    go();
    expect([await mapping, await late]).toEqual([0, 'EINVAL']);
  });
});

describe('leaving', () => {
  test('one of two groups: mappings stay', async () => {
    const target = await backend();
    const second = group(2);
    await target.type1.attachGroup(second);
    await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    target.type1.detachGroup(target.group);
    expect(target.type1.space.translate(0n, 1, 'read').ok).toBe(true);
    target.type1.detachGroup(second);
    expect(target.type1.space.translate(0n, 1, 'read').ok).toBe(false);
    expect(target.caller.pins.size).toBe(0);
  });

  test('release unpins everything, and later ioctls find no container', async () => {
    const target = await backend();
    await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    target.type1.release();
    expect(target.caller.pins.size).toBe(0);
    expect(await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n })).toBe('EINVAL');
  });
});

describe('VFIO_CHECK_EXTENSION once type1 is set', () => {
  const answers = (enforcesCoherency: boolean, v2: boolean) => {
    const type1 = createType1(fakeHost({ iommu: { enforcesCoherency } }), v2);
    return Array.from({ length: 12 }, (_, id) => type1.checkExtension(id));
  };

  test('ids 0 to 11, v1 and v2 alike', () => {
    expect(answers(true, true)).toEqual([0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0]);
    expect(answers(true, false)).toEqual(answers(true, true));
    expect(answers(false, true)[4]).toBe(0);
  });
});

test('dma_entry_limit is latched when the container gets its IOMMU', async () => {
  const host = fakeHost({ modules: { vfio_iommu_type1: { dma_entry_limit: 1 } } });
  const before = createType1(host, true);
  const parameter = host.modules
    .get('vfio_iommu_type1')!
    .parameters.find((row) => row.name === 'dma_entry_limit')!;
  parameter.value = 2;
  const after = createType1(host, true);
  const { caller } = await backend();
  for (const type1 of [before, after]) await type1.attachGroup(group());
  const two = async (type1: typeof before) => [
    await map(type1, caller, { vaddr: RAM, iova: 0n, size: 0x1000n }),
    await map(type1, caller, { vaddr: RAM, iova: 0x1000n, size: 0x1000n }),
  ];
  expect(await two(before)).toEqual([0, 'ENOSPC']);
  expect(await two(after)).toEqual([0, 0]);
});
