/** BIND, ATTACH and DETACH of a device to an iommufd (drivers/vfio/device_cdev.c). */
import { refuse } from '../abi/errno.js';
import {
  attachIommufdPt,
  BIND_FLAG_TOKEN,
  bindIommufd,
  detachIommufdPt,
  PT_FLAG_PASID,
} from '../abi/vfio/index.js';
import { isIommufd } from '../iommu/contract.js';
import type { IoctlCall } from '../vfs/ioctl.js';
import type { OpenFile } from '../vfs/node.js';
import { type Outcome, outcome, readArgument } from './arguments.js';
import type { DeviceFile } from './device-file.js';
import { validateToken } from './token.js';

/** Up to and including out_devid. */
const BIND_MINIMUM = 16;
/** A longer struct of a newer client must be zero where we know nothing of it; nobody needs more than a page of it. */
const BIND_MAXIMUM = 4096;

/** copy_struct_from_user(): E2BIG for bytes we would have to ignore. */
async function readBind(call: IoctlCall) {
  const { memory } = call.caller;
  const argsz = (await memory.read(call.argument, 4)).readUInt32LE(0);
  if (argsz < BIND_MINIMUM) refuse('EINVAL', `argsz ${argsz} is below ${BIND_MINIMUM}`);
  if (argsz > BIND_MAXIMUM) refuse('E2BIG', `argsz ${argsz}`);
  const bytes = await memory.read(call.argument, argsz);
  if (bytes.subarray(bindIommufd.size).some((byte) => byte !== 0))
    refuse('E2BIG', 'unknown bytes are not zero');
  return bindIommufd.decode(bytes.subarray(0, bindIommufd.size));
}

/** Everything that may take time is fetched first and judged in its turn: no other call can come between the checks. */
export async function bind(file: DeviceFile, call: IoctlCall): Promise<number> {
  const { caller, argument } = call;
  const { flags, iommufd, tokenUuidPtr } = await readBind(call);
  if (iommufd < 0) refuse('EINVAL', `iommufd ${iommufd}`);
  if (flags & ~BIND_FLAG_TOKEN) refuse('EINVAL', `unknown flags 0x${flags.toString(16)}`);
  if (file.origin === 'group') refuse('EINVAL', 'the descriptor came from a group');
  const { device } = file;
  await device.lock.run(async () => {
    const token =
      flags & BIND_FLAG_TOKEN ? await outcome(() => caller.memory.read(tokenUuidPtr, 16)) : undefined;
    const target = await outcome(() => caller.openFile(iommufd));
    const { group } = device;
    if (group.isOpen) refuse('EBUSY', `group ${group.name} is open`);
    if (file.bound) refuse('EINVAL', 'this descriptor is bound already');
    group.cdevBinds++;
    try {
      await openBound(file, token, target);
      await writeId(file, call, argument);
    } catch (error) {
      group.cdevBinds--;
      throw error;
    }
    file.grant();
  });
  return 0;
}

async function openBound(
  { device }: DeviceFile,
  token: Outcome<Buffer> | undefined,
  target: Outcome<OpenFile | undefined>,
): Promise<void> {
  validateToken(device, token?.());
  const file = target();
  if (!isIommufd(file)) refuse('EBADFD', 'the descriptor is no iommufd');
  if (device.openCount > 0) refuse('EINVAL', `${device.fn.bdf} is open by another descriptor`);
  await device.open(() => {
    const bound = file.bind(device.fn, device.group.iommuGroup);
    return {
      iommufd: { file, bound },
      get space() {
        return bound.space;
      },
      spaceOf: (pasid) => bound.spaceOf(pasid),
      release: () => bound.unbind(),
    };
  });
}

/** out_devid; a bind that can't be told is undone. */
async function writeId({ device }: DeviceFile, { caller }: IoctlCall, argument: bigint): Promise<void> {
  const id = Buffer.alloc(4);
  id.writeUInt32LE(device.binding!.iommufd!.bound.id);
  try {
    await caller.memory.write(argument + BigInt(bindIommufd.offsets.outDevid), id);
  } catch (error) {
    device.closeLocked();
    throw error;
  }
}

/**
 * The PASID behind the first `minimum` bytes, or undefined without that flag. EINVAL: unknown flags; EOPNOTSUPP: the device has none; EINVAL: no
 * room for it in argsz; EFAULT.
 */
async function readPasid(
  { device }: DeviceFile,
  call: IoctlCall,
  { argsz, flags }: { argsz: number; flags: number },
  minimum: number,
): Promise<number | undefined> {
  if (flags & ~PT_FLAG_PASID) refuse('EINVAL', `unknown flags 0x${flags.toString(16)}`);
  if (!(flags & PT_FLAG_PASID)) return undefined;
  if (!device.binding!.iommufd!.bound.attachPasid) refuse('EOPNOTSUPP', `${device.fn.bdf} has no PASIDs`);
  if (argsz < minimum + 4) refuse('EINVAL', `argsz ${argsz} leaves out the PASID`);
  return (await call.caller.memory.read(call.argument + BigInt(minimum), 4)).readUInt32LE(0);
}

export async function attach(opened: DeviceFile, call: IoctlCall): Promise<number> {
  const { device } = opened;
  const minimum = attachIommufdPt.offsets.pasid;
  const request = await readArgument(call, attachIommufdPt, minimum);
  const pasid = await readPasid(opened, call, request, minimum);
  await device.lock.run(async () => {
    const { bound } = device.binding!.iommufd!;
    const out = Buffer.alloc(4);
    const id = pasid === undefined ? bound.attach(request.ptId) : bound.attachPasid!(request.ptId, pasid);
    out.writeUInt32LE(await id);
    try {
      await call.caller.memory.write(call.argument + BigInt(attachIommufdPt.offsets.ptId), out);
    } catch (error) {
      // Whatever was attached, the kernel takes the attach without PASID away (vfio_df_ioctl_attach_pt()).
      bound.detach();
      throw error;
    }
  });
  return 0;
}

export async function detach(opened: DeviceFile, call: IoctlCall): Promise<number> {
  const { device } = opened;
  const minimum = detachIommufdPt.offsets.pasid;
  const request = await readArgument(call, detachIommufdPt, minimum);
  const pasid = await readPasid(opened, call, request, minimum);
  await device.lock.run(() => {
    const { bound } = device.binding!.iommufd!;
    if (pasid === undefined) bound.detach();
    else bound.detachPasid!(pasid);
  });
  return 0;
}
