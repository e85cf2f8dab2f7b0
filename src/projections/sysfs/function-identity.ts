/** What a function is: ids, class, and the strings made of them (drivers/pci/pci-sysfs.c, pci_uevent()). */
import type { PciFunction } from '../../host/pci-function.js';
import type { Model } from '../context.js';
import { type Entry, text } from '../kit/directory.js';
import { hex, upper } from '../kit/format.js';
import { deviceUevent } from './uevent.js';

function ids({ shape }: PciFunction) {
  return {
    vendor: shape.vendor,
    device: shape.device,
    subvendor: shape.subsystemVendor ?? 0,
    subdevice: shape.subsystemDevice ?? 0,
  };
}

/** libvirt and the Kubernetes plugin cut it at fixed columns; 54 bytes with its newline. */
export function modalias(fn: PciFunction): string {
  const { vendor, device, subvendor, subdevice } = ids(fn);
  const { classCode } = fn.shape;
  const numbers = `v${upper(vendor, 8)}d${upper(device, 8)}sv${upper(subvendor, 8)}sd${upper(subdevice, 8)}`;
  return `pci:${numbers}bc${upper(classCode >> 16, 2)}sc${upper((classCode >> 8) & 0xff, 2)}i${upper(classCode & 0xff, 2)}`;
}

/** pci_uevent(). */
export function variables(fn: PciFunction): string[] {
  const { vendor, device, subvendor, subdevice } = ids(fn);
  return [
    ...(fn.driver ? [`DRIVER=${fn.driver.name}`] : []),
    `PCI_CLASS=${upper(fn.shape.classCode, 4)}`,
    `PCI_ID=${upper(vendor, 4)}:${upper(device, 4)}`,
    `PCI_SUBSYS_ID=${upper(subvendor, 4)}:${upper(subdevice, 4)}`,
    `PCI_SLOT_NAME=${fn.bdf}`,
    `MODALIAS=${modalias(fn)}`,
  ];
}

/** lspci refuses to run at all when vendor, device, class or irq is missing; DPDK wants the newline. */
export const identity = ({ host }: Model): Entry<PciFunction>[] => [
  text('vendor', { fixed: true, show: (fn) => hex(ids(fn).vendor, 4) }),
  text('device', { fixed: true, show: (fn) => hex(ids(fn).device, 4) }),
  text('subsystem_vendor', { fixed: true, show: (fn) => hex(ids(fn).subvendor, 4) }),
  text('subsystem_device', { fixed: true, show: (fn) => hex(ids(fn).subdevice, 4) }),
  text('class', { fixed: true, show: (fn) => hex(fn.shape.classCode, 6) }),
  text('revision', { fixed: true, show: (fn) => hex(fn.shape.revision ?? 0, 2) }),
  text('modalias', { fixed: true, show: modalias }),
  // pci-label.c: of SMBIOS, or of ACPI, which goes first.
  text('label', {
    fixed: true,
    when: ({ onboard }) => onboard !== undefined,
    show: ({ onboard }) => onboard!.label,
  }),
  text('index', {
    fixed: true,
    when: ({ onboard }) => onboard?.index !== undefined,
    show: ({ onboard }) => onboard!.index!,
  }),
  text('acpi_index', {
    fixed: true,
    when: ({ onboard }) => onboard?.acpiIndex !== undefined,
    show: ({ onboard }) => onboard!.acpiIndex!,
  }),
  deviceUevent(host, 'pci', variables),
];
