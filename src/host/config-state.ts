/**
 * What the machine lays over a capability, captured or made: what firmware and the kernel leave in it at boot, and what the description
 * says. Error and event bits of a capture are not part of the device: they start clear.
 */
import * as pci from '../abi/pci/index.js';
import { type CapabilityImage, isDownward, portType } from './config-capabilities.js';
import { reportsErrors } from './config-extended.js';
import { barType } from './config-header.js';
import { findCapability } from './config-image.js';
import { forwardsAri, hasHierarchyBit, nextFunction } from './config-sriov.js';
import type { LinkDescription } from './description.js';
import type { FunctionPlan } from './plan.js';

/**
 * Bits of a register of the PCIe capability that the kernel's drivers of ports turn on: on a captured machine those that were on, as others
 * are not there to be turned on (QEMU's ports have few).
 */
export function implementedBits({ setup, image }: FunctionPlan, register: number): number {
  const express = setup && findCapability(image, pci.PCI_CAP_ID_EXP);
  if (!express) return 0xffff;
  return register + 2 <= express.bytes.length ? express.bytes.readUInt16LE(register) : 0;
}

type Overlay = (bytes: Buffer, fn: FunctionPlan) => void;

/** Changes 16 bits: those of `mask` become `value`. */
function change(bytes: Buffer, offset: number, mask: number, value: number): void {
  if (offset + 2 <= bytes.length)
    bytes.writeUInt16LE((bytes.readUInt16LE(offset) & ~mask) | (value & mask), offset);
}

const powerManagement: Overlay = (bytes) => {
  const { PCI_PM_CTRL_STATE_MASK, PCI_PM_CTRL_PME_ENABLE, PCI_PM_CTRL_PME_STATUS } = pci;
  change(bytes, pci.PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS, 0);
};

/** Off, nothing programmed; the description's number of vectors and mask bits. */
const msi: Overlay = (bytes, { shape }) => {
  const capable = shape.msi ? Math.log2(shape.msi.vectors) << 1 : 0;
  bytes.fill(0, pci.PCI_MSI_ADDRESS_LO);
  change(bytes, pci.PCI_MSI_FLAGS, 0x000e | pci.PCI_MSI_FLAGS_QSIZE | pci.PCI_MSI_FLAGS_ENABLE, capable);
};

const msix: Overlay = (bytes, { shape }) => {
  const { vectors, bar, tableOffset, pbaBar = bar, pbaOffset } = shape.msix!;
  bytes.writeUInt16LE(vectors - 1, pci.PCI_MSIX_FLAGS);
  bytes.writeUInt32LE((tableOffset | bar) >>> 0, pci.PCI_MSIX_TABLE);
  bytes.writeUInt32LE((pbaOffset | pbaBar) >>> 0, pci.PCI_MSIX_PBA);
};

const bridgeSubsystem: Overlay = (bytes, { shape }) => {
  bytes.writeUInt16LE(shape.subsystemVendor ?? 0, pci.PCI_SSVID_VENDOR_ID);
  bytes.writeUInt16LE(shape.subsystemDevice ?? 0, pci.PCI_SSVID_DEVICE_ID);
};

const express: Overlay = (bytes, fn) => {
  const type = portType(fn);
  if (fn.shape.pcie)
    change(
      bytes,
      pci.PCI_EXP_DEVCAP + 2,
      pci.PCI_EXP_DEVCAP_FLR >>> 16,
      fn.shape.pcie?.flr ? pci.PCI_EXP_DEVCAP_FLR >>> 16 : 0,
    );
  change(bytes, pci.PCI_EXP_DEVSTA, ~pci.PCI_EXP_DEVSTA_AUXPD, 0);
  // pci_aer_init(): firmware has left AER to the kernel, which wants to hear of errors. A VF reports through its PF.
  if (!fn.setup && !fn.virtual && reportsErrors(fn))
    change(bytes, pci.PCI_EXP_DEVCTL, pci.PCI_EXP_AER_FLAGS, pci.PCI_EXP_AER_FLAGS);
  // What says it is a port and has no header of one has no bus either.
  if (isDownward(type) && !fn.bridge) return;
  if (type !== pci.PCI_EXP_TYPE_RC_END && type !== pci.PCI_EXP_TYPE_RC_EC) link(bytes, fn);
  if (!isDownward(type)) return;
  const present = fn.children.length > 0;
  const slot = (bytes.readUInt16LE(pci.PCI_EXP_FLAGS) & pci.PCI_EXP_FLAGS_SLOT) !== 0;
  if (slot) change(bytes, pci.PCI_EXP_SLTSTA, 0xffff, present ? pci.PCI_EXP_SLTSTA_PDS : 0);
  if (bytes.length > pci.PCI_EXP_RTSTA) bytes.writeUInt32LE(0, pci.PCI_EXP_RTSTA);
  const ari = forwardsAri(fn);
  // A port that was not captured can what is asked of it.
  if (!fn.image && ari) change(bytes, pci.PCI_EXP_DEVCAP2, pci.PCI_EXP_DEVCAP2_ARI, pci.PCI_EXP_DEVCAP2_ARI);
  change(bytes, pci.PCI_EXP_DEVCTL2, pci.PCI_EXP_DEVCTL2_ARI, ari ? pci.PCI_EXP_DEVCTL2_ARI : 0);
};

const generations = [2.5, 5, 8, 16, 32, 64] as const;
const defaultLink: LinkDescription = { speed: 8, width: 4 };

/** Both LNKCAP and LNKSTA have the speed in bits 0-3 and the width in bits 4-9. */
const encode = ({ speed, width }: LinkDescription): number => (generations.indexOf(speed) + 1) | (width << 4);

/** What a captured PCIe capability says its link can; undefined where it says nothing that a link could be. */
export function capturedLink(bytes: Buffer | undefined): LinkDescription | undefined {
  if (!bytes || bytes.length < pci.PCI_EXP_SLTCAP) return undefined;
  const capability = bytes.readUInt32LE(pci.PCI_EXP_LNKCAP);
  const speed = generations[(capability & pci.PCI_EXP_LNKCAP_SLS) - 1];
  const width = (capability & pci.PCI_EXP_LNKCAP_MLW) >> 4;
  return speed && [1, 2, 4, 8, 16, 32].includes(width)
    ? { speed, width: width as LinkDescription['width'] }
    : undefined;
}

/** The link's best; a port that says nothing of it follows what is behind it. */
function bestLink(fn: FunctionPlan): LinkDescription {
  const own = fn.description.link ?? capturedLink(findCapability(fn.image, pci.PCI_CAP_ID_EXP)?.bytes);
  const below = isDownward(portType(fn)) ? fn.children[0] : undefined;
  return own ?? (below ? bestLink(below) : defaultLink);
}

/** A trained link: both ends have what both can, and a port with nothing behind it has no link at all. */
function link(bytes: Buffer, fn: FunctionPlan): void {
  const best = bestLink(fn);
  const said = fn.description.link !== undefined || !fn.image;
  if (said) change(bytes, pci.PCI_EXP_LNKCAP, 0x03ff, encode(best));
  // Control and status of the one link stand in the PF; a captured machine's links are as they were trained.
  if (fn.virtual || fn.setup) return;
  const downward = isDownward(portType(fn));
  const other = downward ? fn.children[0] : fn.parent;
  const partner = other && (downward || isDownward(portType(other))) ? bestLink(other) : best;
  const speed = Math.min(best.speed, partner.speed) as LinkDescription['speed'];
  const width = Math.min(best.width, partner.width) as LinkDescription['width'];
  const reports = bytes.readUInt32LE(pci.PCI_EXP_LNKCAP) & pci.PCI_EXP_LNKCAP_DLLLARC;
  const active = downward && reports ? pci.PCI_EXP_LNKSTA_DLLLA : 0;
  // A slot without power has no link; the speed is that of the last one there was.
  const off = downward && fn.slot.off;
  const up =
    !downward || other ? (off ? encode({ speed, width }) & 0xf : encode({ speed, width }) | active) : 0x1;
  change(bytes, pci.PCI_EXP_LNKSTA, ~pci.PCI_EXP_LNKSTA_SLC, up);
  if (!said || bytes.length <= pci.PCI_EXP_LNKCTL2) return;
  const generation = generations.indexOf(best.speed) + 1;
  bytes.writeUInt32LE((2 ** generation - 1) << 1, pci.PCI_EXP_LNKCAP2);
  change(bytes, pci.PCI_EXP_LNKCTL2, 0x000f, generation);
}

const vitalData: Overlay = (bytes) => bytes.fill(0, pci.PCI_VPD_ADDR);

const standardOverlays: ReadonlyMap<number, Overlay> = new Map([
  [pci.PCI_CAP_ID_PM, powerManagement],
  [pci.PCI_CAP_ID_VPD, vitalData],
  [pci.PCI_CAP_ID_MSI, msi],
  [pci.PCI_CAP_ID_SSVID, bridgeSubsystem],
  [pci.PCI_CAP_ID_EXP, express],
  [pci.PCI_CAP_ID_MSIX, msix],
]);

const errors: Overlay = (bytes) => {
  bytes.writeUInt32LE(0, pci.PCI_ERR_UNCOR_STATUS);
  bytes.writeUInt32LE(0, pci.PCI_ERR_COR_STATUS);
  // First Error Pointer, and the log it points into.
  bytes.writeUInt32LE(bytes.readUInt32LE(pci.PCI_ERR_CAP) & ~0x1f, pci.PCI_ERR_CAP);
  bytes.fill(0, pci.PCI_ERR_HEADER_LOG, pci.PCI_ERR_ROOT_COMMAND);
  if (bytes.length > pci.PCI_ERR_ROOT_STATUS) bytes.fill(0, pci.PCI_ERR_ROOT_STATUS);
};

/** Everything a kernel turns on at boot (pci_std_enable_acs()) is on. */
const accessControl: Overlay = (bytes) => {
  const standard = pci.PCI_ACS_SV | pci.PCI_ACS_RR | pci.PCI_ACS_CR | pci.PCI_ACS_UF;
  change(bytes, pci.PCI_ACS_CTRL, standard, bytes.readUInt16LE(pci.PCI_ACS_CAP));
};

/** Written most significant byte first, as lspci prints it; the register has it least significant first. */
const serialNumber: Overlay = (bytes, { description }) =>
  void bytes.set(
    Buffer.from(description.serialNumber!.replaceAll('-', ''), 'hex').reverse(),
    pci.PCI_EXT_CAP_HEADER_SIZEOF,
  );

const routing: Overlay = (bytes, fn) => {
  // The device's own number where its registers were captured: of a whole machine, or of a VF.
  if (!fn.setup && !(fn.virtual && fn.image)) bytes.writeUInt8(nextFunction(fn), pci.PCI_ARI_CAP + 1);
};

/**
 * As sriov_init() leaves it: no VF enabled, 4 KiB pages chosen. Software that is not the kernel can't enable VFs here, as the kernel
 * would not know of them either.
 */
const virtualization: Overlay = (bytes, fn) => {
  const { totalVfs, offset, stride = 0, vfDevice } = fn.description.sriov!;
  bytes.writeUInt16LE(hasHierarchyBit(fn) ? pci.PCI_SRIOV_CTRL_ARI : 0, pci.PCI_SRIOV_CTRL);
  bytes.writeUInt16LE(0, pci.PCI_SRIOV_CTRL + 2);
  bytes.writeUInt16LE(totalVfs, pci.PCI_SRIOV_INITIAL_VF);
  bytes.writeUInt16LE(totalVfs, pci.PCI_SRIOV_TOTAL_VF);
  bytes.writeUInt16LE(0, pci.PCI_SRIOV_NUM_VF);
  bytes.writeUInt16LE(offset, pci.PCI_SRIOV_VF_OFFSET);
  bytes.writeUInt16LE(stride, pci.PCI_SRIOV_VF_STRIDE);
  bytes.writeUInt16LE(vfDevice, pci.PCI_SRIOV_VF_DID);
  bytes.writeUInt32LE(0x001, pci.PCI_SRIOV_SYS_PGSIZE);
  bytes.fill(0, pci.PCI_SRIOV_BAR, pci.PCI_SRIOV_BAR + 24);
  for (const bar of fn.vfBars) {
    if (!bar) continue;
    const at = pci.PCI_SRIOV_BAR + 4 * bar.index;
    bytes.writeUInt32LE(Number((bar.address & 0xffff_ffffn) | BigInt(barType(bar))), at);
    if (bar.kind === 'memory64') bytes.writeUInt32LE(Number(bar.address >> 32n), at + 4);
  }
};

/** Bit 0 of sizes is 1 MiB. */
const resizable: Overlay = (bytes, fn) => {
  const bars = fn.bars.flatMap((bar) => (bar?.sizes ? [bar] : []));
  bars.forEach(({ index, size, sizes }, i) => {
    const bits = sizes!.reduce((all, one) => all + 2 ** (Math.log2(one) - 20), 0);
    const at = 8 * i;
    // Sizes from 256 TiB on have their bits in the control register, and no BAR here comes near them.
    bytes.writeUInt32LE((bits * 16) >>> 0, at + pci.PCI_REBAR_CAP);
    const count = i === 0 ? bars.length << 5 : 0;
    bytes.writeUInt32LE(index | count | ((Math.log2(size) - 20) << 8), at + pci.PCI_REBAR_CTRL);
  });
};

const secondary: Overlay = (bytes) => void bytes.writeUInt32LE(0, 0x08);
const containment: Overlay = (bytes) => void bytes.writeUInt32LE(bytes.readUInt32LE(0x08) & 0x1f00, 0x08);

const extendedOverlays: ReadonlyMap<number, Overlay> = new Map([
  [pci.PCI_EXT_CAP_ID_ERR, errors],
  [pci.PCI_EXT_CAP_ID_DSN, serialNumber],
  [pci.PCI_EXT_CAP_ID_ACS, accessControl],
  [pci.PCI_EXT_CAP_ID_ARI, routing],
  [pci.PCI_EXT_CAP_ID_SRIOV, virtualization],
  [pci.PCI_EXT_CAP_ID_REBAR, resizable],
  // Lane errors, and what a port was contained for.
  [pci.PCI_EXT_CAP_ID_SECPCI, secondary],
  [pci.PCI_EXT_CAP_ID_DPC, containment],
]);

/** Lays the machine's state over `image`, whose bytes it changes. */
export function layOver(space: 'standard' | 'extended', image: CapabilityImage, fn: FunctionPlan): void {
  (space === 'standard' ? standardOverlays : extendedOverlays).get(image.id)?.(image.bytes, fn);
}
