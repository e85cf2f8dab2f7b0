import { describe, expect, it } from 'vitest';
import type { Host } from '../../../src/host/host.js';
import {
  bindVfio,
  errno,
  list,
  machine,
  nobody,
  open,
  read,
  realpath,
  root,
  setPowerState,
  walk,
  write,
} from '../machine.js';

const bdf = '0000:00:04.0';
const device = `/sys/bus/pci/devices/${bdf}`;
const functionOf = (host: Host, name = bdf) => host.functions.get(name as never)!;

describe('enable', () => {
  it('is for root, while no driver is bound', () => {
    const { tree } = machine();
    expect(() => write(tree, `${device}/enable`, '1', nobody)).toThrow(errno('EPERM'));
    expect(() => write(tree, `${device}/enable`, 'x')).toThrow(errno('EINVAL'));
    expect(() => write(tree, `${device}/enable`, '0')).toThrow(errno('EIO'));
    expect(() => write(tree, '/sys/bus/pci/devices/0000:01:00.0/enable', '1')).toThrow(errno('EBUSY'));
  });

  it('counts, and the first one turns the decoders on', () => {
    const { tree, host } = machine();
    const command = () => functionOf(host).config.read(4, 2) & 7;
    expect(command()).toBe(0);
    for (const count of [1, 2]) {
      write(tree, `${device}/enable`, '1');
      expect(read(tree, `${device}/enable`)).toBe(`${count}\n`);
    }
    expect(command()).toBe(3);
    functionOf(host).config.write(4, 2, 7);
    write(tree, `${device}/enable`, '0');
    expect(command()).toBe(7);
    write(tree, `${device}/enable`, '0');
    // pci_disable_device() only takes bus mastering away.
    expect(command()).toBe(3);
  });
});

describe('numa_node', () => {
  it('refuses strangers and nodes that are not online', () => {
    const { tree, host } = machine();
    expect(() => write(tree, `${device}/numa_node`, '0', nobody)).toThrow(errno('EPERM'));
    for (const text of ['-2', '2', 'x', '']) {
      if (text !== '') expect(() => write(tree, `${device}/numa_node`, text), text).toThrow(errno('EINVAL'));
    }
    expect(host.tainted).toBe(0);
  });

  it('taints the kernel when it changes', () => {
    const { tree, host } = machine();
    write(tree, `${device}/numa_node`, '-1\n');
    expect(host.tainted).toBe(0);
    write(tree, `${device}/numa_node`, '1\n');
    expect(read(tree, `${device}/numa_node`)).toBe('1\n');
    expect(read(tree, '/proc/sys/kernel/tainted')).toBe('2048\n');
  });
});

it.each([
  ['broken_parity_status', '0\n'],
  ['d3cold_allowed', '1\n'],
  ['msi_bus', '1\n'],
])('%s is a switch', (name, initially) => {
  const { tree } = machine();
  expect(() => write(tree, `${device}/${name}`, 'y')).toThrow(errno('EINVAL'));
  expect(read(tree, `${device}/${name}`)).toBe(initially);
  write(tree, `${device}/${name}`, '0');
  expect(read(tree, `${device}/${name}`)).toBe('0\n');
  write(tree, `${device}/${name}`, '0x10\n');
  expect(read(tree, `${device}/${name}`)).toBe('1\n');
  expect(read(tree, `/sys/bus/pci/devices/0000:80:00.0/${name}`)).toBe(initially);
});

it('msi_bus is for root', () => {
  expect(() => write(machine().tree, `${device}/msi_bus`, 'y', nobody)).toThrow(errno('EPERM'));
});

describe('driver_override', () => {
  it('keeps the bytes up to a newline or NUL, spaces included', () => {
    const { tree } = machine();
    const stored = (text: string) => {
      write(tree, `${device}/driver_override`, text);
      return read(tree, `${device}/driver_override`);
    };
    expect(stored(' foo \n')).toBe(' foo \n');
    expect(stored('a\nb')).toBe('a\n');
    expect(stored('n\xe4me\0x')).toBe('n\xe4me\n');
    expect(stored('')).toBe('n\xe4me\n');
    expect(stored('\0')).toBe('(null)\n');
    expect(stored('x')).toBe('x\n');
    expect(stored('\n')).toBe('(null)\n');
  });

  it('refuses what would not fit', () => {
    const { tree } = machine();
    expect(() => write(tree, `${device}/driver_override`, 'x'.repeat(4095))).toThrow(errno('EINVAL'));
    expect(write(tree, `${device}/driver_override`, 'x'.repeat(4094))).toBe(4094);
    expect(read(tree, `${device}/driver_override`)).toHaveLength(4095);
  });
});

describe('reset', () => {
  it('is there for functions that can be reset, and takes 1 only', () => {
    const { tree, host } = machine();
    expect(list(tree, '/sys/bus/pci/devices/0000:00:1c.0')).not.toContain('reset');
    for (const text of ['0', '2', 'y'])
      expect(() => write(tree, `${device}/reset`, text)).toThrow(errno('EINVAL'));
    const fn = functionOf(host);
    let resets = 0;
    const reset = fn.reset.bind(fn);
    fn.reset = () => {
      resets++;
      return reset();
    };
    fn.config.write(4, 2, 7);
    write(tree, `${device}/reset`, '1\n');
    // What was programmed is there again afterwards (pci_dev_restore()).
    expect([resets, fn.config.read(4, 2)]).toEqual([1, 7]);
  });

  it('reset_subordinate resets what is behind a bridge, however deep, and keeps what was programmed', () => {
    const { tree, host } = machine();
    const file = '/sys/bus/pci/devices/0000:00:1d.0/reset_subordinate';
    expect(list(tree, device)).not.toContain('reset_subordinate');
    expect(() => write(tree, file, '1', nobody)).toThrow(errno('EPERM'));
    expect(() => write(tree, file, 'y')).toThrow(errno('EINVAL'));
    const fn = functionOf(host, '0000:04:00.0');
    let resets = 0;
    const reset = fn.reset.bind(fn);
    fn.reset = () => {
      resets++;
      return reset();
    };
    fn.config.write(4, 2, 7);
    write(tree, file, '0');
    expect(resets).toBe(0);
    write(tree, file, '1\n');
    expect([resets, fn.config.read(4, 2)]).toEqual([1, 7]);
  });

  it('goes by the methods in reset_method', () => {
    const { tree } = machine();
    const file = `${device}/reset_method`;
    const alone = '/sys/bus/pci/devices/0000:01:00.0/reset_method';
    expect([read(tree, file), read(tree, alone)]).toEqual(['flr\n', 'bus\n']);
    for (const text of ['bus', 'flr bus', 'FLR', 'nonsense']) {
      expect(() => write(tree, file, text), text).toThrow(errno('EINVAL'));
      expect(read(tree, file)).toBe('flr\n');
    }
    write(tree, file, '\n');
    expect(read(tree, file)).toBe('');
    expect(() => write(tree, `${device}/reset`, '1')).toThrow(errno('ENOTTY'));
    write(tree, file, 'default\n');
    expect(read(tree, file)).toBe('flr\n');
    write(tree, file, 'flr');
    expect(write(tree, `${device}/reset`, '1')).toBe(1);
  });
});

describe('power', () => {
  it('control takes auto and on, autosuspend is not in use', () => {
    const { tree } = machine();
    for (const text of ['off', '', 'auto ', 'Auto'])
      if (text !== '') expect(() => write(tree, `${device}/power/control`, text)).toThrow(errno('EINVAL'));
    write(tree, `${device}/power/control`, 'auto\n');
    expect(read(tree, `${device}/power/control`)).toBe('auto\n');
    expect(read(tree, '/sys/bus/pci/devices/0000:80:00.0/power/control')).toBe('on\n');
    expect(() => read(tree, `${device}/power/autosuspend_delay_ms`)).toThrow(errno('EIO'));
    expect(() => write(tree, `${device}/power/autosuspend_delay_ms`, '1')).toThrow(errno('EIO'));
  });

  it('a function that waits for its user in vfio-pci sleeps, and config shows it', () => {
    const { tree, host } = machine();
    bindVfio(tree, bdf);
    const fn = functionOf(host);
    const shown = () =>
      ['power_state', 'power/runtime_status', 'power/control'].map((name) => read(tree, `${device}/${name}`));
    const pmcsr = fn.config.find(1)!.offset + 4;
    const state = (offset: number, length: number) => {
      const bytes = open(tree, `${device}/config`).read!(BigInt(offset), length, root) as Uint8Array;
      return bytes[pmcsr - offset]! & 3;
    };
    expect(shown()).toEqual(['D3hot\n', 'suspended\n', 'auto\n']);
    expect([state(0, 256), state(pmcsr, 1), state(pmcsr - 3, 4)]).toEqual([3, 3, 3]);
    expect(fn.config.read(pmcsr, 1) & 3).toBe(3);
    write(tree, `${device}/power/control`, 'on');
    expect(shown()).toEqual(['D0\n', 'active\n', 'on\n']);
  });

  it('an open function is in the state its user chose', () => {
    const { tree, host } = machine();
    bindVfio(tree, bdf);
    const fn = functionOf(host);
    fn.enableCount = 1;
    const shown = () =>
      ['power_state', 'power/runtime_status'].map((name) => read(tree, `${device}/${name}`));
    expect(shown()).toEqual(['D3hot\n', 'active\n']);
    setPowerState(fn, 0);
    expect(shown()).toEqual(['D0\n', 'active\n']);
  });

  it('nothing sleeps with disable_idle_d3', () => {
    const { tree } = machine();
    write(tree, '/sys/module/vfio_pci/parameters/disable_idle_d3', '1');
    bindVfio(tree, bdf);
    const shown = ['power_state', 'power/runtime_status', 'power/control'].map((name) =>
      read(tree, `${device}/${name}`),
    );
    expect(shown).toEqual(['D0\n', 'active\n', 'on\n']);
  });

  it('disable_idle_d3 is of no consequence for what is bound already', () => {
    const { tree } = machine();
    bindVfio(tree, bdf);
    write(tree, '/sys/module/vfio_pci/parameters/disable_idle_d3', '1');
    expect(read(tree, `${device}/power/control`)).toBe('auto\n');
  });

  it('virtual devices have none to manage', () => {
    expect(read(machine().tree, '/sys/class/misc/vfio/power/runtime_status')).toBe('unsupported\n');
  });
});

describe('msi_irqs', () => {
  const functions = [
    { bdf: '0000:00:06.0', vendor: 0x8086, device: 0x10d3, msi: { vectors: 2 }, interruptPin: 1 },
    { bdf: '0000:00:07.0', vendor: 0x8086, device: 0x10d3, interruptPin: 1 },
  ] as const;

  it('has a file per vector while a driver has them, and irq is the first one with MSI', async () => {
    const { tree, host } = machine({ rootBuses: ['0000:00'], functions });
    const path = '/sys/bus/pci/devices/0000:00:06.0';
    expect(list(tree, '/sys/bus/pci/devices/0000:00:07.0')).not.toContain('msi_irqs');
    expect(list(tree, `${path}/msi_irqs`)).toEqual(['24', '25']);
    expect([read(tree, `${path}/msi_irqs/25`), read(tree, `${path}/irq`)]).toEqual(['msi\n', '24\n']);
    await write(tree, '/sys/bus/pci/drivers/e1000e/unbind', '0000:00:06.0');
    expect(list(tree, path)).not.toContain('msi_irqs');
    expect(read(tree, `${path}/irq`)).toBe(`${functionOf(host, '0000:00:06.0').irq}\n`);
  });

  it('MSI-X leaves irq the line', () => {
    const { tree } = machine();
    const path = '/sys/bus/pci/devices/0000:01:00.0';
    expect(list(tree, `${path}/msi_irqs`)).toHaveLength(3);
    expect(read(tree, `${path}/irq`)).toBe('16\n');
    for (const number of list(tree, `${path}/msi_irqs`))
      expect(read(tree, `${path}/msi_irqs/${number}`)).toBe('msix\n');
  });
});

describe('remove and rescan', () => {
  it('take numbers; 0 does nothing', async () => {
    const { tree } = machine();
    for (const name of ['remove', 'rescan']) {
      expect(() => write(tree, `${device}/${name}`, 'y')).toThrow(errno('EINVAL'));
      await write(tree, `${device}/${name}`, '0');
    }
    expect(realpath(tree, device)).toBeDefined();
    expect(walk(tree, '/sys/devices/pci0000:00/0000:00:04.0/remove')?.attributes().mode).toBe(0o220);
  });

  it('take a function out with its children, and bring another one back under the same name', async () => {
    const { tree } = machine();
    const bridge = '/sys/devices/pci0000:00/0000:00:1d.0';
    const path = `${bridge}/0000:02:00.0/0000:03:00.0/0000:04:00.0`;
    const before = walk(tree, path)!;
    const vendor = open(tree, `${path}/vendor`);
    write(tree, `${path}/driver_override`, 'foo');
    expect(await write(tree, `${bridge}/remove`, '1\n')).toBe(2);
    expect(walk(tree, bridge)).toBeUndefined();
    expect(list(tree, '/sys/bus/pci/devices')).not.toContain('0000:04:00.0');
    expect(realpath(tree, '/sys/class/pci_bus/0000:04')).toBeUndefined();
    expect(() => vendor.read!(0n, 10, root)).toThrow(errno('ENODEV'));
    write(tree, '/sys/bus/pci/rescan', '1');
    const after = walk(tree, path)!;
    expect(read(tree, `${path}/driver_override`)).toBe('(null)\n');
    expect(after.key).not.toBe(before.key);
    expect(() => vendor.read!(0n, 10, root)).toThrow(errno('ENODEV'));
  });
});
