/**
 * Configuration space as a VFIO client sees it (vfio_pci_config.c): every bit is either the hardware's or one of a shadow copy, and
 * either writable or not; some writes have effects.
 */
import { refuse } from '../../abi/errno.js';
import {
  PCI_CAP_ID_PM,
  PCI_COMMAND,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_INTERRUPT_PIN,
  PCI_PM_CAP_PME_MASK,
  PCI_PM_CTRL,
  PCI_PM_CTRL_PME_ENABLE,
  PCI_PM_CTRL_PME_STATUS,
  PCI_PM_PMC,
  PCI_VENDOR_ID,
} from '../../abi/pci/index.js';
import type { PciFunction } from '../../host/pci-function.js';
import { fixBars, isBar } from './bars.js';
import { effectOf } from './effects.js';
import { type Area, buildMap, type ConfigMap } from './map.js';

/** What effects of configuration writes reach outside of configuration space. */
export interface ConfigActions {
  /** The client's INTx-disable bit changed (vfio_pci_intx_mask(), vfio_pci_intx_unmask()). */
  intxDisabled(disabled: boolean): void;
  /** MSI is enabled through SET_IRQS. */
  readonly msiEnabled: boolean;
  /** log2 of the vectors MSI was last enabled with. */
  readonly msiQueueSize: number;
  /** Function-level reset; what was programmed comes back afterwards. */
  reset(): void;
  /** 0 (D0) … 3 (D3hot). */
  setPowerState(state: number): void;
  /** COMMAND was written: whether memory is decoded now. */
  decodes(memory: boolean): void;
}

export class VirtualConfig {
  private readonly map: ConfigMap;

  constructor(
    readonly fn: PciFunction,
    readonly actions: ConfigActions,
  ) {
    this.map = buildMap(fn.config.bytes);
    fixBars(this.shadow, fn);
    if (fn.irq === 0) this.shadow[PCI_INTERRUPT_PIN] = 0;
    this.hidePme();
    if (fn.physfn) this.virtualize();
  }

  /** vfio_config_init() of a VF: the ids its registers don't have, and a memory enable bit that it only plays. */
  private virtualize(): void {
    const { vendor, device } = this.fn.shape;
    this.shadow.writeUInt16LE(vendor, PCI_VENDOR_ID);
    this.shadow.writeUInt16LE(device, PCI_DEVICE_ID);
    this.shadow.writeUInt16LE(this.command | PCI_COMMAND_MEMORY, PCI_COMMAND);
    this.map.virtual[PCI_COMMAND] = (this.map.virtual[PCI_COMMAND] as number) | PCI_COMMAND_MEMORY;
  }

  /** vfio_update_pm_vconfig_bytes(): no power-management events for clients. */
  private hidePme(): void {
    const pm = this.fn.config.find(PCI_CAP_ID_PM);
    if (!pm) return;
    const clear = (offset: number, bits: number) =>
      this.shadow.writeUInt16LE(this.shadow.readUInt16LE(offset) & ~bits, offset);
    clear(pm.offset + PCI_PM_PMC, PCI_PM_CAP_PME_MASK);
    clear(pm.offset + PCI_PM_CTRL, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
  }

  get size(): number {
    return this.fn.config.size;
  }

  get shadow(): Buffer {
    return this.map.shadow;
  }

  get interruptPin(): number {
    return this.shadow.readUInt8(PCI_INTERRUPT_PIN);
  }

  /** COMMAND as the client last left it. */
  get command(): number {
    return this.shadow.readUInt16LE(PCI_COMMAND);
  }

  /** EFAULT, with nothing transferred, when any byte lies past the end. */
  read(offset: number, length: number): Buffer {
    this.check(offset, length);
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) {
      const virtual = this.map.virtual[offset + i] as number;
      bytes[i] =
        ((this.fn.config.bytes[offset + i] as number) & ~virtual) |
        ((this.shadow[offset + i] as number) & virtual);
    }
    return bytes;
  }

  /** In units of 4, 2 or 1 bytes, naturally aligned, none of which crosses the end of a capability. */
  write(offset: number, data: Buffer): number {
    this.check(offset, data.length);
    for (let done = 0; done < data.length; ) {
      const unit = this.unit(offset + done, data.length - done);
      this.writeUnit(offset + done, unit, data.readUIntLE(done, unit));
      done += unit;
    }
    return data.length;
  }

  /** The default write: virtual bits to the shadow, the others to the hardware, what is not writable nowhere. */
  store(offset: number, length: number, value: number): void {
    let hardware = 0;
    let reaches = false;
    for (let i = 0; i < length; i++) {
      const at = offset + i;
      const writable = this.map.writable[at] as number;
      const virtual = this.map.virtual[at] as number;
      const byte = Math.floor(value / 2 ** (8 * i)) & 0xff;
      const mix = (old: number, mask: number): number => (old & ~mask) | (byte & mask);
      this.shadow[at] = mix(this.shadow[at] as number, writable & virtual);
      hardware += mix(this.fn.config.bytes[at] as number, writable & ~virtual) * 2 ** (8 * i);
      reaches ||= (writable & ~virtual) !== 0;
    }
    if (reaches) this.fn.config.write(offset, length, hardware);
    if (isBar(offset)) fixBars(this.shadow, this.fn);
  }

  private writeUnit(offset: number, length: number, value: number): void {
    const area = this.map.areas[(this.map.owner[offset] as number) - 1];
    const effect = area && effectOf(area);
    if (effect) effect(this, { area: area as Area, offset, length, value });
    else this.store(offset, length, value);
  }

  private unit(offset: number, left: number): 1 | 2 | 4 {
    const owner = this.map.owner[offset];
    const fits = (length: number): boolean => {
      if (left < length || offset % length !== 0) return false;
      for (let i = 1; i < length; i++) if (this.map.owner[offset + i] !== owner) return false;
      return true;
    };
    return fits(4) ? 4 : fits(2) ? 2 : 1;
  }

  private check(offset: number, length: number): void {
    if (offset + length > this.size) refuse('EFAULT', `configuration space ends at ${this.size}`);
  }
}
