/** Virtual functions on paper: where the VFs of a PF appear, and what each of them is (drivers/pci/iov.c). */
import { PCI_CAP_ID_EXP } from '../abi/pci/index.js';
import { devfn, formatBdf, type PciAddress } from './bdf.js';
import { findCapability } from './config-image.js';
import { capturedLink } from './config-state.js';
import type { FunctionDescription, ProfileDescription } from './description.js';
import { type BarPlan, type FunctionPlan, planFunction } from './plan.js';
import { withoutUndefined } from './shape.js';

/** pci_iov_virtfn_bus() and pci_iov_virtfn_devfn(): routing ids count on over the end of a bus. */
export function vfAddress(pf: FunctionPlan, index: number): PciAddress {
  const { offset, stride = 0 } = pf.description.sriov!;
  const id = (pf.address.bus << 8) + devfn(pf.address) + offset + stride * index;
  return { domain: pf.address.domain, bus: id >> 8, device: (id >> 3) & 0x1f, function: id & 7 };
}

/** The highest bus number that VFs of `pf` can have. */
export function lastVfBus(pf: FunctionPlan): number {
  return vfAddress(pf, pf.description.sriov!.totalVfs - 1).bus;
}

/** What a VF would be as a function of its own: ids, BARs and messages, but no INTx, no ROM and nothing to sleep with. */
export function vfDescription(pf: FunctionPlan, index: number): FunctionDescription {
  const { description, shape } = pf;
  const {
    vfDevice,
    vfClass,
    vfRevision,
    vfSubsystemDevice,
    bars,
    msix,
    migration,
    dmaLogging,
    profiles,
    attributes,
    config,
    model,
    options,
  } = description.sriov!;
  // Captured registers of a VF say it themselves.
  const otherwise = <T>(value: T): T | undefined => (config ? undefined : value);
  return withoutUndefined<FunctionDescription>({
    bdf: formatBdf(vfAddress(pf, index)),
    config,
    vendor: shape.vendor,
    device: vfDevice,
    subsystemVendor: otherwise(shape.subsystemVendor),
    subsystemDevice: vfSubsystemDevice ?? otherwise(shape.subsystemDevice),
    class: vfClass ?? otherwise(shape.classCode),
    revision: vfRevision ?? otherwise(shape.revision),
    model,
    options,
    bars: model === undefined ? (bars ?? []) : undefined,
    msix,
    // FLR is not optional for a VF (SR-IOV 2.2.2).
    pcie: { type: shape.pcie!.type, flr: true },
    link: otherwise(description.link ?? capturedLink(findCapability(pf.image, PCI_CAP_ID_EXP)?.bytes)),
    powerManagement: otherwise(false),
    interruptPin: 0,
    numaNode: description.numaNode,
    migration,
    dmaLogging,
    profiles,
    attributes,
  });
}

/** VF `index` of `pf`, which has its place and addresses; without a group yet. Its BARs lie in its part of the PF's VF BARs. */
export function planVirtual(pf: FunctionPlan, index: number, profile?: ProfileDescription): FunctionPlan {
  const models = { get: () => pf.vfModel, names: () => (pf.vfModel ? [pf.vfModel.name] : []) };
  const plan = planFunction(vfDescription(pf, index), models, false, profile);
  const bars = plan.bars.map((bar): BarPlan | undefined => {
    const slices = bar && pf.vfBars[bar.index];
    return slices && { ...bar, address: slices.address + BigInt(slices.size * index) };
  });
  return { ...plan, bars, parent: pf.parent, virtual: { pf, index } };
}
