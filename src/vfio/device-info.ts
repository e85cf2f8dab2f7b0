/** VFIO_DEVICE_GET_INFO, GET_IRQ_INFO, SET_IRQS, RESET of an open device. */
import { refuse } from '../abi/errno.js';
import {
  DeviceFlag,
  deviceInfo,
  IrqFlag,
  IrqIndex,
  irqInfo,
  NUM_IRQS,
  NUM_REGIONS,
} from '../abi/vfio/index.js';
import type { IoctlCall } from '../vfs/ioctl.js';
import { readArgument, writeInfo } from './arguments.js';
import { atomicCapability } from './atomics.js';
import { readIrqRequest } from './irqs/request.js';
import type { OpenDevice } from './open-device.js';
import { specificRegions } from './regions/specific.js';

/** Up to and including num_irqs. */
const INFO_MINIMUM = 16;

export async function getInfo(open: OpenDevice, call: IoctlCall): Promise<number> {
  const info = await readArgument(call, deviceInfo, INFO_MINIMUM);
  info.flags = DeviceFlag.PCI | (open.resetWorks ? DeviceFlag.RESET : 0);
  info.numRegions = NUM_REGIONS + specificRegions(open).length;
  info.numIrqs = NUM_IRQS;
  await writeInfo(call, deviceInfo, info, atomicCapability(open.fn), DeviceFlag.CAPS);
  return 0;
}

const { EVENTFD, MASKABLE, AUTOMASKED, NORESIZE } = IrqFlag;

const irqFlags: ReadonlyMap<number, number> = new Map([
  [IrqIndex.INTX, EVENTFD | MASKABLE | AUTOMASKED],
  [IrqIndex.MSI, EVENTFD | NORESIZE],
  [IrqIndex.MSIX, EVENTFD | NORESIZE],
  [IrqIndex.ERR, EVENTFD | NORESIZE],
  [IrqIndex.REQ, EVENTFD | NORESIZE],
]);

export async function getIrqInfo(open: OpenDevice, call: IoctlCall): Promise<number> {
  const info = await readArgument(call, irqInfo);
  let flags = irqFlags.get(info.index);
  if (flags === undefined) return refuse('EINVAL', `no interrupt index ${info.index}`);
  const count = open.irqs.available(info.index);
  // Vectors of MSI-X, where there are any, can be added while it is enabled, as on any x86 machine (has_dyn_msix).
  if (info.index === IrqIndex.MSIX && count > 0) flags &= ~NORESIZE;
  if (info.index === IrqIndex.ERR && count === 0) refuse('EINVAL', 'only PCIe devices report errors');
  await call.caller.memory.write(call.argument, irqInfo.encode({ ...info, flags, count }));
  return 0;
}

export async function setIrqs(open: OpenDevice, call: IoctlCall): Promise<number> {
  const { eventfds } = open.device.registry;
  const request = await readIrqRequest(call, (index) => open.irqs.available(index), eventfds);
  open.irqs.set(request);
  open.device.registry.changed(open.fn);
  return 0;
}

export function resetDevice(open: OpenDevice): number {
  if (!open.resetWorks) refuse('EINVAL', `${open.fn.bdf} has no reset method`);
  if (!open.reset()) throw new Error(`${open.fn.bdf} could be reset when it was opened and can't be now`);
  return 0;
}
