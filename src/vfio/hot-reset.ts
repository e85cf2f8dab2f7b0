/** Hot reset of a slot or bus: what it affects, and whether the caller owns all of it (vfio_pci_ioctl_*hot_reset*()). */
import { refuse } from '../abi/errno.js';
import { Devid, dependentDevice, HotResetFlag, hotReset, hotResetInfo } from '../abi/vfio/index.js';
import { devfn } from '../host/bdf.js';
import type { PciFunction } from '../host/pci-function.js';
import type { IommufdFile } from '../iommu/contract.js';
import type { IoctlCall } from '../vfs/ioctl.js';
import { readArgument } from './arguments.js';
import type { VfioDevice } from './device.js';
import type { DeviceFile } from './device-file.js';
import type { VfioGroup } from './group.js';
import { GroupFile } from './group-file.js';
import { resetByBus } from './reset.js';

/** Every function below the bridge above `fn`, in bus order; ENODEV on a root bus, which can't be reset. */
function affectedBy(fn: PciFunction): PciFunction[] {
  const { parent } = fn;
  if (!parent) return refuse('ENODEV', `${fn.bdf} is on a root bus, which can't be reset`);
  const below = (bridge: PciFunction): PciFunction[] =>
    bridge.children.flatMap((child) => [child, ...below(child)]);
  return below(parent);
}

export async function getHotResetInfo(file: DeviceFile, call: IoctlCall): Promise<number> {
  const info = await readArgument(call, hotResetInfo);
  const { memory } = call.caller;
  const affected = affectedBy(file.device.fn);
  info.flags = 0;
  info.count = affected.length;
  if (affected.length > Math.floor((info.argsz - hotResetInfo.size) / dependentDevice.size)) {
    await memory.write(call.argument, hotResetInfo.encode(info));
    refuse('ENOSPC', `${affected.length} devices are affected`);
  }
  const ids = affected.map((fn) => dependentId(file, fn));
  if (file.origin === 'cdev')
    info.flags = HotResetFlag.DEV_ID | (ids.includes(Devid.NOT_OWNED) ? 0 : HotResetFlag.DEV_ID_OWNED);
  const entries = affected.map(({ address }, i) =>
    dependentDevice.encode({
      groupId: ids[i]!,
      segment: address.domain,
      bus: address.bus,
      devfn: devfn(address),
    }),
  );
  await memory.write(call.argument + BigInt(hotResetInfo.size), Buffer.concat(entries));
  await memory.write(call.argument, hotResetInfo.encode(info));
  return 0;
}

/** The group's number, or for a cdev the id of the device in its iommufd (vfio_iommufd_get_dev_id()). */
function dependentId({ origin, device }: DeviceFile, fn: PciFunction): number {
  if (origin === 'group') return fn.iommuGroup?.id ?? refuse('EPERM', `${fn.bdf} has no IOMMU group`);
  const owner = device.binding!.iommufd!.file;
  const other = device.registry.deviceOf(fn);
  const binding = other?.binding?.iommufd;
  if (binding?.file === owner) return binding.bound.id;
  return other && ownsGroupOf(owner, other) ? Devid.OWNED : Devid.NOT_OWNED;
}

/** iommufd_ctx_has_group(): some device of the group is bound to `owner`, so nobody else can have the others. */
function ownsGroupOf(owner: IommufdFile, { registry, fn }: VfioDevice): boolean {
  for (const device of registry.devices.values())
    if (device.fn.iommuGroup === fn.iommuGroup && device.binding?.iommufd?.file === owner) return true;
  return false;
}

export async function pciHotReset(file: DeviceFile, call: IoctlCall): Promise<number> {
  const { flags, count } = await readArgument(call, hotReset);
  if (flags !== 0) refuse('EINVAL', `flags 0x${flags.toString(16)}`);
  const byGroup = file.origin === 'group';
  if (byGroup === (count === 0)) refuse('EINVAL', 'a group caller lists groups, a cdev caller none');
  const affected = affectedBy(file.device.fn);
  if (count > affected.length) refuse('EINVAL', `${count} groups for ${affected.length} devices`);
  const groups = await readGroups(call, count);
  // The answers above may have taken time, and devices may have come or gone.
  const devices = affectedBy(file.device.fn).map((fn) => {
    const device = file.device.registry.deviceOf(fn);
    return device ?? refuse('EINVAL', `${fn.bdf} is not bound to vfio-pci`);
  });
  for (const device of devices) {
    const owned = byGroup
      ? groups.has(device.group)
      : ownsGroupOf(file.device.binding!.iommufd!.file, device);
    if (!owned) refuse('EINVAL', `${device.fn.bdf} is not the caller's`);
  }
  for (const { fn, opened } of devices) {
    if (opened) opened.withoutDmaBufs(() => resetByBus(fn));
    else resetByBus(fn);
  }
  return 0;
}

/** EFAULT, then for each descriptor EBADF (not open) or EINVAL (not a group). */
async function readGroups({ argument, caller }: IoctlCall, count: number): Promise<Set<VfioGroup>> {
  const groups = new Set<VfioGroup>();
  if (count === 0) return groups;
  const fds = await caller.memory.read(argument + BigInt(hotReset.size), 4 * count);
  for (let i = 0; i < count; i++) {
    const fd = fds.readInt32LE(4 * i);
    const file = fd < 0 ? refuse('EBADF', `descriptor ${fd} is not open`) : await caller.openFile(fd);
    if (!(file instanceof GroupFile)) refuse('EINVAL', `descriptor ${fd} is not a VFIO group`);
    groups.add(file.group);
  }
  return groups;
}
