/** The configuration space of one function: made from its plan when first asked for, and kept true to the plan where that changes. */
import * as pci from '../abi/pci/index.js';
import { buildConfig } from './config-builder.js';
import type { ConfigSpace } from './config-space.js';
import type { FunctionPlan } from './plan.js';
import { VpdEeprom, vpdContents } from './vpd.js';

/** Changes of a configuration space that is not there yet. */
const mostChanges = 16;
/** Byte ranges of a bridge's header that follow from what is below: bus numbers, windows. */
const bridgeRegisters = [
  [0x18, 0x1b],
  [0x1c, 0x1e],
  [0x20, 0x34],
] as const;

/** Bits that the kernel sets up whenever it finds a function, whatever stood there, by capability: pci_init_capabilities(), sriov_init(). */
const setUpAtScan: ReadonlyMap<number, readonly [register: number, bits: number]> = new Map([
  [pci.PCI_CAP_ID_PM, [pci.PCI_PM_CTRL, pci.PCI_PM_CTRL_STATE_MASK]],
  [pci.PCI_CAP_ID_MSI, [pci.PCI_MSI_FLAGS, pci.PCI_MSI_FLAGS_ENABLE]],
  [pci.PCI_CAP_ID_MSIX, [pci.PCI_MSIX_FLAGS, pci.PCI_MSIX_FLAGS_ENABLE | pci.PCI_MSIX_FLAGS_MASKALL]],
  [pci.PCI_CAP_ID_EXP, [pci.PCI_EXP_DEVCTL, pci.PCI_EXP_AER_FLAGS]],
  [pci.PCI_CAP_ID_VPD, [pci.PCI_VPD_ADDR, 0xffff]],
]);
const setUpWholly: readonly number[] = [
  pci.PCI_EXT_CAP_ID_ACS,
  pci.PCI_EXT_CAP_ID_SRIOV,
  pci.PCI_EXT_CAP_ID_REBAR,
];

/** What software had written before the function was removed; addresses are given out anew (pci_assign_unassigned_bus_resources()). */
function restoreKept(config: ConfigSpace, kept: Buffer): void {
  const mask = Buffer.from(config.writable);
  mask.fill(0, pci.PCI_BASE_ADDRESS_0, pci.PCI_INTERRUPT_LINE);
  for (const { id, offset } of config.capabilities) {
    const [register, bits] = setUpAtScan.get(id) ?? [0, 0];
    mask.writeUInt16LE(mask.readUInt16LE(offset + register) & ~bits & 0xffff, offset + register);
  }
  for (const { id, offset, length } of config.extended)
    if (setUpWholly.includes(id)) mask.fill(0, offset, offset + length);
  for (let i = 0; i < config.size; i++)
    config.bytes[i] = (config.bytes[i]! & ~mask[i]!) | (kept[i]! & mask[i]!);
}

export class FunctionRegisters {
  private built: ConfigSpace | undefined;
  /** Made to it before it was built. */
  private readonly changes: ((config: ConfigSpace) => void)[] = [];

  constructor(private readonly plan: FunctionPlan) {}

  get config(): ConfigSpace {
    if (this.built) return this.built;
    const config = buildConfig(this.plan);
    const { vpd } = this.plan.description;
    if (config.find(pci.PCI_CAP_ID_VPD)) new VpdEeprom(vpd && vpdContents(vpd)).attach(config);
    const { registers } = this.plan.left;
    if (registers) restoreKept(config, registers);
    this.built = config;
    for (const change of this.changes.splice(0)) change(config);
    return config;
  }

  /** All of it as it stands; undefined where nobody has changed anything. */
  snapshot(): Buffer | undefined {
    return this.built || this.changes.length > 0 ? Buffer.from(this.config.bytes) : this.plan.left.registers;
  }

  configure(change: (config: ConfigSpace) => void): void {
    // What is bound and unbound for ever must not grow for ever.
    if (this.built || this.changes.length >= mostChanges) change(this.config);
    else this.changes.push(change);
  }

  /** To power-on, but for what the kernel restores at once. */
  reset(): void {
    if (!this.built && this.changes.length === 0) return;
    const { config, plan } = this;
    const image = buildConfig(plan).bytes;
    const keep = (offset: number, length: number) =>
      config.bytes.copy(image, offset, offset, offset + length);
    keep(pci.PCI_BASE_ADDRESS_0, 24);
    keep(pci.PCI_ROM_ADDRESS, 4);
    keep(pci.PCI_INTERRUPT_LINE, 1);
    // sriov_restore_state()
    const virtualization = config.extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_SRIOV);
    if (virtualization && plan.description.sriov) keep(virtualization.offset, virtualization.length);
    config.poke(0, image);
  }

  /** A BAR has another size, and it or others another place: registers and their writable bits follow. */
  barsMoved(): void {
    if (!this.built) return;
    const { bytes, writable, extended } = buildConfig(this.plan);
    const rebar = extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_REBAR);
    const ranges: [number, number][] = [[pci.PCI_BASE_ADDRESS_0, pci.PCI_BASE_ADDRESS_0 + 24]];
    if (rebar) ranges.push([rebar.offset, rebar.offset + rebar.length]);
    for (const [start, end] of ranges) {
      writable.copy(this.built.writable, start, start, end);
      this.built.poke(start, bytes.subarray(start, end));
    }
  }

  /** Slot mates or what is below a bridge have changed: those parts of the header are as the plan says now. */
  refreshHeader(): void {
    if (!this.built) return;
    const { bytes } = buildConfig(this.plan);
    const changed = this.plan.bridge ? bridgeRegisters : [];
    for (const [offset, end] of [[pci.PCI_HEADER_TYPE, pci.PCI_HEADER_TYPE + 1] as const, ...changed])
      this.built.poke(offset, bytes.subarray(offset, end));
  }

  /** The function is another one: whoever asks next gets the registers of that at power-on. */
  rebuild(): void {
    this.built = undefined;
    this.changes.length = 0;
    this.plan.left.registers = undefined;
  }

  /** What is in the slot of this port, or its power, has changed: link and presence are as the plan says now. */
  refreshSlot(): void {
    const { offset } = this.config.find(pci.PCI_CAP_ID_EXP)!;
    const { bytes } = buildConfig(this.plan);
    for (const register of [pci.PCI_EXP_LNKSTA, pci.PCI_EXP_SLTSTA])
      this.config.poke(offset + register, bytes.subarray(offset + register, offset + register + 2));
  }
}
