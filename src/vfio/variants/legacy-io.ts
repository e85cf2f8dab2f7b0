/**
 * A virtio network VF as a transitional device (drivers/vfio/pci/virtio/legacy_io.c): legacy ids, and an I/O BAR 0 that the hardware does
 * not have, whose accesses become admin commands to the PF.
 */
import { refuse } from '../../abi/errno.js';
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_DEVICE_ID,
  PCI_REVISION_ID,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID_REDHAT_QUMRANET,
} from '../../abi/pci/index.js';
import type { LegacyIoDescription } from '../../host/description.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { OpenDevice } from '../open-device.js';
import { readBar, writeBar } from '../regions/bar-access.js';
import { LegacyRegisters } from './legacy-registers.js';
import type { Overlay, OverlayRegion } from './overlay.js';

const VIRTIO_NET = 0x1041;
const VIRTIO_TRANS_ID_NET = 0x1000;
const VIRTIO_ID_NET = 1;
const VIRTIO_PCI_QUEUE_NOTIFY = 16;
const BAR_SIZE = LegacyRegisters.commonSize + LegacyRegisters.configSize;

/** virtiovf_support_legacy_io(): what the PF can do is in the description. */
export function supportsLegacyIo(fn: PciFunction): boolean {
  return fn.shape.device === VIRTIO_NET && fn.legacyIo !== undefined && !fn.bars[0];
}

export class LegacyIo implements Overlay, OverlayRegion {
  readonly regions = new Map<number, OverlayRegion>([[0, this]]);
  readonly size = BAR_SIZE;
  private readonly registers: LegacyRegisters;
  private readonly notify: LegacyIoDescription['notify'];
  private readonly command = Buffer.alloc(2);
  private readonly base = Buffer.alloc(4);

  constructor(fn: PciFunction) {
    this.notify = fn.legacyIo!.notify;
    this.registers = new LegacyRegisters(macOf(fn));
  }

  /** virtiovf_pci_read_config(). */
  configRead(at: number, bytes: Buffer): void {
    const put = (register: number, size: 1 | 2 | 4, change: (old: number) => number): void => {
      const value = Buffer.alloc(size);
      overlap(at, bytes, register, size, (there, here) => {
        value[here] = bytes[there] as number;
      });
      value.writeUIntLE(change(value.readUIntLE(0, size)), 0, size);
      overlap(at, bytes, register, size, (there, here) => {
        bytes[there] = value[here] as number;
      });
    };
    const base = (this.base.readUInt32LE() & ~(BAR_SIZE - 1)) | PCI_BASE_ADDRESS_SPACE_IO;
    put(PCI_DEVICE_ID, 2, () => VIRTIO_TRANS_ID_NET);
    put(PCI_COMMAND, 2, (old) => old | (this.decodes ? PCI_COMMAND_IO : 0));
    put(PCI_REVISION_ID, 1, () => 0);
    put(PCI_BASE_ADDRESS_0, 4, () => base >>> 0);
    put(PCI_SUBSYSTEM_ID, 2, () => VIRTIO_ID_NET);
    put(PCI_SUBSYSTEM_VENDOR_ID, 2, () => PCI_VENDOR_ID_REDHAT_QUMRANET);
  }

  /** virtiovf_pci_write_config(). */
  configWritten(at: number, data: Buffer): void {
    const keep = (copy: Buffer, register: number): void =>
      overlap(at, data, register, copy.length, (there, here) => {
        copy[here] = data[there] as number;
      });
    keep(this.command, PCI_COMMAND);
    keep(this.base, PCI_BASE_ADDRESS_0);
  }

  resetDone(): void {
    this.command.fill(0);
    this.registers.reset();
  }

  save(): Buffer {
    return this.registers.save();
  }

  load(state: Buffer): boolean {
    return this.registers.load(state);
  }

  /** virtiovf_pci_bar0_rw(). */
  read(open: OpenDevice, at: number, length: number): Buffer {
    this.check(at, length);
    if (at === VIRTIO_PCI_QUEUE_NOTIFY) return readBar(open, this.notify.bar, this.notify.offset, 2);
    const { part, offset } = place(open, at);
    return this.registers.read(part, offset, length);
  }

  write(open: OpenDevice, at: number, data: Buffer): number {
    this.check(at, data.length);
    if (at === VIRTIO_PCI_QUEUE_NOTIFY) return writeBar(open, this.notify.bar, this.notify.offset, data);
    const { part, offset } = place(open, at);
    this.registers.write(part, offset, data);
    return data.length;
  }

  private get decodes(): boolean {
    return (this.command.readUInt16LE() & PCI_COMMAND_IO) !== 0;
  }

  private check(at: number, length: number): void {
    if (!this.decodes) refuse('EIO', 'I/O decode is off');
    if (at + length > BAR_SIZE) refuse('EINVAL', `BAR 0 ends at ${BAR_SIZE}`);
    if (at === VIRTIO_PCI_QUEUE_NOTIFY && length !== 2) refuse('EINVAL', `${length} bytes of QUEUE_NOTIFY`);
  }
}

/** VIRTIO_PCI_CONFIG_OFF(): the device's part starts behind two vectors while MSI-X is enabled, in their place otherwise. */
function place(open: OpenDevice, at: number): { part: 'common' | 'device'; offset: number } {
  const start = open.irqs.messages.current === 'msix' ? LegacyRegisters.commonSize : 20;
  return at < start ? { part: 'common', offset: at } : { part: 'device', offset: at - start };
}

/** vfio_pci_core_range_intersect_range(): bytes of `data`, which starts at `at`, that belong to a register. */
function overlap(
  at: number,
  data: Buffer,
  register: number,
  size: number,
  each: (there: number, here: number) => void,
): void {
  for (let here = 0; here < size; here++) {
    const there = register + here - at;
    if (there >= 0 && there < data.length) each(there, here);
  }
}

/** Locally administered, and of this function alone. */
function macOf({ address }: PciFunction): Uint8Array {
  const { domain, bus, device, function: number } = address;
  return Uint8Array.from([0x02, 0, domain & 0xff, bus, device, number]);
}
