/** Which functions share an IOMMU group: pci_device_group() and pci_acs_enabled(), for machines without quirks but two. */
import { PCI_DEVICE_ID_INTEL_82576, PCI_VENDOR_ID_INTEL } from '../abi/pci/index.js';
import type { FunctionPlan } from './plan.js';

/** Numbers the groups from `first` in the order of `functions`; numbers that descriptions claim are passed over. */
export function assignGroups(functions: readonly FunctionPlan[], first = 0): void {
  const claimed = new Set(functions.map((fn) => fn.description.iommuGroup));
  const numbers = new Map<string, number>();
  let next = first;
  for (const fn of functions) {
    let group = fn.description.iommuGroup;
    if (group === undefined) {
      const key = isolationUnit(fn);
      group = numbers.get(key);
      if (group === undefined) {
        while (claimed.has(next)) next++;
        group = next++;
        numbers.set(key, group);
      }
    }
    fn.group = group;
  }
  // Bridges last: no client opens one, and window 0 is the one where region offsets are what clients expect.
  const members = new Map<number, number>();
  for (const bridges of [false, true])
    for (const fn of functions) {
      if ((fn.bridge !== undefined) !== bridges) continue;
      fn.window = members.get(fn.group!) ?? 0;
      members.set(fn.group!, fn.window + 1);
    }
}

function isConventional(fn: FunctionPlan): boolean {
  return fn.bridge?.kind === 'pcie-to-pci' || fn.bridge?.kind === 'pci';
}

/** Names what `fn` can't be told apart from: a function, or a slot of functions without ACS. */
export function isolationUnit(fn: FunctionPlan): string {
  const unit = isolationHead(fn);
  return isolates(unit) ? unit.bdf : `slot ${unit.bdf.slice(0, -2)}`;
}

/** The uppermost function that `fn` shares a group with on the way to the root complex; often `fn` itself. */
export function isolationHead(fn: FunctionPlan): FunctionPlan {
  let unit = fn;
  // Requester ids are lost at a conventional bridge: everything below it is one, together with the bridge (dma aliases).
  for (let up: FunctionPlan | undefined = fn; up; up = up.parent) if (isConventional(up)) unit = up;
  // Up to where every port on the way to the root complex redirects peer-to-peer traffic.
  for (let up = unit.parent; up && !isolatesPath(up); up = up.parent) unit = up;
  return unit;
}

function isolatesPath(bridge: FunctionPlan): boolean {
  for (let up: FunctionPlan | undefined = bridge; up; up = up.parent) if (!isolates(up)) return false;
  return true;
}

/** pci_acs_enabled(): ports by their capability; others only need it when they share a slot. */
function isolates(fn: FunctionPlan): boolean {
  if (isConventional(fn)) return !fn.multifunction;
  if (fn.bridge && fn.bridge.kind !== 'upstream-port') return hasAcs(fn);
  if (!fn.multifunction) return true;
  return hasAcs(fn) || (fn.shape.vendor === PCI_VENDOR_ID_INTEL && isIntelIsolated(fn));
}

/**
 * pci_quirk_rciep_acs(): Intel's integrated endpoints only do peer-to-peer on translated addresses; pci_quirk_mf_endpoint_acs(): the
 * ports of the 82576 do none among each other.
 */
function isIntelIsolated({ shape }: FunctionPlan): boolean {
  return shape.pcie?.type === 'rc-endpoint' || shape.device === PCI_DEVICE_ID_INTEL_82576;
}

/** Ports that route between functions have ACS unless told otherwise. */
export function hasAcs(fn: FunctionPlan): boolean {
  const port = fn.bridge?.kind === 'root-port' || fn.bridge?.kind === 'downstream-port';
  return fn.description.acs ?? port;
}
