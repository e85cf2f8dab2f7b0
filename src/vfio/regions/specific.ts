/** Regions that only this device has, behind the common ones (vfio_pci_core_register_dev_region()); laid out as vfio_pci_igd.c does. */
import { refuse } from '../../abi/errno.js';
import { capTypeBody, type InfoCapability, NUM_REGIONS, RegionCap } from '../../abi/vfio/index.js';
import type { RegionSpec } from '../../devices/contract.js';
import type { OpenDevice } from '../open-device.js';

export function specificRegions({ fn }: OpenDevice): readonly RegionSpec[] {
  return fn.shape.regions ?? [];
}

/** The region at `index` of the device, undefined where it has none. */
export function specificRegion(open: OpenDevice, index: number): RegionSpec | undefined {
  return specificRegions(open)[index - NUM_REGIONS];
}

export function typeCapability({ type, subtype }: RegionSpec): InfoCapability {
  return { id: RegionCap.TYPE, version: 1, body: capTypeBody.encode({ type, subtype }) };
}

/** A short count at its end; EINVAL from there on. */
export function readSpecific(open: OpenDevice, index: number, at: number, length: number): Buffer {
  const taken = within(open, index, at, length);
  const bytes = open.fn.model?.model.regionRead?.(index - NUM_REGIONS, at, taken);
  if (!bytes) return Buffer.alloc(taken);
  if (bytes.length !== taken)
    throw new Error(`${open.fn.bdf}: the model gave ${bytes.length} bytes of region ${index}, not ${taken}`);
  return Buffer.from(bytes);
}

/** Returns the bytes taken. */
export function writeSpecific(open: OpenDevice, index: number, at: number, data: Buffer): number {
  const taken = within(open, index, at, data.length);
  if (!specificRegion(open, index)?.writable) refuse('EINVAL', `region ${index} can not be written`);
  open.fn.model?.model.regionWrite?.(index - NUM_REGIONS, at, data.subarray(0, taken));
  return taken;
}

function within(open: OpenDevice, index: number, at: number, length: number): number {
  const region = specificRegion(open, index);
  if (!region || at >= region.size) return refuse('EINVAL', `region ${index} has no byte ${at}`);
  return Math.min(length, region.size - at);
}
