/** From description (and model) to the shape on the bus. */
import { PCI_CLASS_BRIDGE_PCI_NORMAL, PCI_CLASS_NOT_DEFINED } from '../abi/pci/index.js';
import type { FunctionShape, ModelDefinition } from '../devices/contract.js';
import type { CompleteDescription } from './completed.js';

/** What the description gives wins; `false` takes a capability away. The ids are checked by checkDescription(). */
export function resolveShape(
  description: CompleteDescription,
  definition: ModelDefinition | undefined,
): FunctionShape {
  const base: FunctionShape = definition?.shape({ ...description.options }) ?? {
    vendor: 0xffff,
    device: 0xffff,
    classCode: description.bridge ? PCI_CLASS_BRIDGE_PCI_NORMAL : PCI_CLASS_NOT_DEFINED,
    bars: [],
  };
  const pick = <T>(mine: T | false | undefined, theirs: T | undefined): T | undefined =>
    mine === false ? undefined : (mine ?? theirs);
  return withoutUndefined({
    vendor: description.vendor ?? base.vendor,
    device: description.device ?? base.device,
    subsystemVendor: description.subsystemVendor ?? base.subsystemVendor,
    subsystemDevice: description.subsystemDevice ?? base.subsystemDevice,
    classCode: description.class ?? base.classCode,
    revision: description.revision ?? base.revision,
    bars: definition ? base.bars : (description.bars ?? []),
    msix: pick(description.msix, base.msix),
    msi: pick(description.msi, base.msi),
    interruptPin: description.interruptPin ?? base.interruptPin,
    pcie: pick(description.pcie, base.pcie),
    trapped: description.trapped ?? base.trapped,
    regions: base.regions,
  });
}

/** Optional fields are left out rather than undefined, so that shapes compare and print as they were written. */
export function withoutUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  const kept: Partial<T> = {};
  for (const key in value) if (value[key] !== undefined) kept[key] = value[key];
  return kept as T;
}
