/** /sys/bus/pci/slots/<name> (drivers/pci/slot.c, drivers/pci/hotplug/pci_hotplug_core.c). */
import { refuse } from '../../abi/errno.js';
import type { HotplugControl, PciSlot } from '../../host/slots.js';
import type { MaybeAsync } from '../../vfs/caller.js';
import type { Model } from '../context.js';
import { DirectoryClass, directories, type Entry, link, subdirectory, text } from '../kit/directory.js';
import { paths } from '../paths.js';
import { currentSpeed, maximalSpeed } from './function-link.js';

/** simple_strtoul() to base 10, as a u8: what is no digit ends it. */
function leadingByte(content: string): number {
  return Number(BigInt(/^[0-9]*/.exec(content)![0] || '0') & 0xffn);
}

function storePower(hotplug: HotplugControl, content: string): MaybeAsync<void> {
  switch (leadingByte(content)) {
    case 0:
      return hotplug.disable();
    case 1:
      return hotplug.enable();
    default:
      return refuse('EINVAL', 'expected 0 or 1');
  }
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');

/** Of a slot that is all of a bus, device 0 (address_read_file()). */
const address = ({ domain, bus, device = 0 }: PciSlot) =>
  `${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}`;

export function slots(model: Model): Entry<void> {
  const { host } = model;
  const isHotplug = ({ hotplug }: PciSlot) => hotplug !== undefined;
  const slot = new DirectoryClass<PciSlot>(
    [
      text('address', { show: address }),
      text('max_bus_speed', { show: ({ bridge }) => maximalSpeed(bridge) }),
      text('cur_bus_speed', { show: ({ bridge }) => currentSpeed(bridge) }),
      link('module', () => paths.module('pciehp'), { when: ({ hasModule }) => hasModule }),
      text('power', {
        when: isHotplug,
        show: ({ hotplug }) => hotplug!.power,
        store: ({ hotplug }, content) => storePower(hotplug!, content),
      }),
      text('attention', {
        when: ({ hotplug }) => hotplug?.hasAttention === true,
        show: ({ hotplug }) => hotplug!.attention,
        store: ({ hotplug }, content) => hotplug!.setAttention(leadingByte(content)),
      }),
      text('latch', {
        when: ({ hotplug }) => hotplug?.hasLatch === true,
        show: ({ hotplug }) => hotplug!.latch,
      }),
      text('adapter', { when: isHotplug, show: ({ hotplug }) => hotplug!.adapter }),
    ],
    { alive: (slot) => host.slots.get(slot.name) === slot, key: (slot) => slot, volatile: true },
  );
  return subdirectory('slots', [
    directories<void, PciSlot>(
      { names: () => host.slots.keys(), find: (_, name) => host.slots.get(name) },
      slot,
    ),
  ]);
}
