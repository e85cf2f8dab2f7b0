import { describe, expect, it } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import { IrqNumbers } from '../../src/host/messages.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const nvme = (bdf: string, more = {}) => fakeFunction(bdf, { class: 0x010802, ...more });
const only = (more = {}, description = {}) => {
  const host = fakeHost({ functions: [nvme('0000:00:04.0', more)], ...description });
  return { host, fn: [...host.functions.values()][0]! };
};

describe('interrupt numbers', () => {
  it('are the lowest free ones behind the pins of the IOAPIC', () => {
    const numbers = new IrqNumbers(true);
    expect([numbers.take(), numbers.take(), numbers.take()]).toEqual([24, 25, 26]);
    numbers.release(25);
    numbers.release(25);
    numbers.release(3);
    expect([numbers.take(), numbers.take()]).toEqual([25, 27]);
  });
});

describe('a kernel driver', () => {
  it('has MSI-X vectors while it is bound, the line off', async () => {
    const { host, fn } = only();
    expect(fn.messages.kind).toBe('msix');
    expect([...fn.messages.irqs]).toEqual([
      [0, 24],
      [1, 25],
      [2, 26],
      [3, 27],
    ]);
    const control = fn.config.find(0x11)!.offset + 2;
    expect([fn.config.read(control, 2), fn.config.read(4, 2) & 0x400]).toEqual([0x8003, 0x400]);
    await host.drivers.unbind(fn.driver!, fn.bdf);
    expect([fn.messages.kind, fn.messages.irqs.size, fn.config.read(control, 2)]).toEqual([undefined, 0, 3]);
    expect(fn.config.read(4, 2) & 0x400).toBe(0);
  });

  it('has MSI where there is no MSI-X, its message remapped on Intel and not elsewhere', () => {
    const message = (kind: 'intel' | 'none') => {
      const { fn } = only({ msix: false }, { iommu: { kind } });
      const { offset } = fn.config.find(5)!;
      expect(fn.config.read(offset + 2, 2) & 0x71).toBe(0x21);
      return [fn.messages.kind, fn.config.read(offset + 4, 4), fn.config.read(offset + 12, 2)];
    };
    expect(message('intel')).toEqual(['msi', 0xfee00000 + 24 * 32 + 0x18, 0]);
    expect(message('none')).toEqual(['msi', 0xfee00000, 0x4038]);
  });

  it('of a switch has none: only root ports have services that interrupt', () => {
    const port = (
      bdf: string,
      kind: 'root-port' | 'upstream-port',
      secondary: number,
    ): FunctionDescription => ({
      ...{ bdf, vendor: 0x104c, device: 0x8232, msi: { vectors: 1 } },
      bridge: { kind, secondary },
    });
    const host = fakeHost({
      functions: [port('0000:00:1c.0', 'root-port', 1), port('0000:01:00.0', 'upstream-port', 2)],
    });
    const [root, upstream] = [...host.functions.values()];
    expect([root!.driver?.name, root!.messages.kind]).toEqual(['pcieport', 'msi']);
    expect([upstream!.driver?.name, upstream!.messages.kind]).toEqual(['pcieport', undefined]);
  });
});

describe('masks that somebody set behind the kernel, through sysfs', () => {
  it.each([
    ['msix', 0x11, 2, 2, 0x4000],
    ['msi', 0x05, 0x10, 4, 0xf],
  ] as const)('are cleared when %s is enabled', (kind, id, register, width, mask) => {
    const { fn } = only({ driver: 'none' });
    const at = fn.config.find(id)!.offset + register;
    fn.config.write(at, width, mask);
    expect(fn.config.read(at, width) & mask).toBe(mask);
    fn.messages.enable(kind, 1);
    expect(fn.config.read(at, width) & mask).toBe(0);
  });
});

it('a removed function gives its numbers back', async () => {
  const host = fakeHost({ functions: [nvme('0000:00:04.0'), nvme('0000:00:05.0')] });
  const [first, second] = [...host.functions.values()];
  expect(second!.messages.irqs.get(0)).toBe(28);
  await host.remove(first!);
  host.rescan();
  const again = host.functions.get(first!.bdf)!;
  expect(again).not.toBe(first);
  expect(again.messages.irqs.get(0)).toBe(24);
});
