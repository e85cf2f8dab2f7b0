/** VFIO_GROUP_GET_DEVICE_FD after the name is found (vfio_df_group_open()). */
import { KernelError, refuse } from '../abi/errno.js';
import type { IommufdFile } from '../iommu/contract.js';
import { PhysicalSpace } from '../iommu/index.js';
import type { Caller, MaybeAsync } from '../vfs/caller.js';
import type { Container } from './container.js';
import type { DeviceBinding, VfioDevice } from './device.js';
import { DeviceFile } from './device-file.js';
import type { VfioGroup } from './group.js';

export function openFromGroup(group: VfioGroup, device: VfioDevice, caller: Caller): MaybeAsync<DeviceFile> {
  device.use();
  return group.lock.run(async () => {
    try {
      const { attachment } = group;
      if (!attachment) refuse('EINVAL', `group ${group.name} has no container`);
      await device.lock.run(() =>
        device.open(() =>
          attachment.kind === 'container'
            ? useContainer(group, device, attachment.container, caller)
            : useIommufd(group, device, attachment.file, caller),
        ),
      );
      device.binding?.admit?.(caller.process);
      return new DeviceFile(device, 'group');
    } catch (error) {
      device.unuse();
      throw error;
    }
  });
}

/** vfio_group_use_container(): the open device keeps the group's file, and so its place in the container. */
function useContainer(
  group: VfioGroup,
  device: VfioDevice,
  container: Container,
  caller: Caller,
): DeviceBinding {
  if (!container.hasIommu) refuse('EINVAL', 'the container has no IOMMU yet');
  if (group.noiommu && !caller.capable('SYS_RAWIO')) refuse('EPERM', 'a no-IOMMU device needs CAP_SYS_RAWIO');
  group.hold();
  group.containerUsers++;
  const release = (): void => {
    group.containerUsers--;
    group.drop();
  };
  if (group.noiommu) return untranslated(device, release);
  return {
    get space() {
      return container.space;
    },
    release,
  };
}

/** DMA of a device without an IOMMU: at physical addresses of the processes that open it, if the machine is described so. */
function untranslated(device: VfioDevice, release: () => void): DeviceBinding {
  if (!device.registry.host.iommu.physicalDma) return { space: undefined, release };
  const space = new PhysicalSpace();
  return {
    space,
    admit: (process) => space.admit(process),
    release() {
      space.release();
      release();
    },
  };
}

/** vfio_iommufd_compat_bind(), then vfio_iommufd_compat_attach_ioas(). */
function useIommufd(group: VfioGroup, device: VfioDevice, file: IommufdFile, caller: Caller): DeviceBinding {
  if (group.noiommu) {
    if (!caller.capable('SYS_RAWIO')) refuse('EPERM', 'a no-IOMMU device needs CAP_SYS_RAWIO');
    if (hasCompatIoas(file)) refuse('EPERM', 'the iommufd translates: not for a no-IOMMU device');
    return untranslated(device, () => {});
  }
  const bound = file.bind(device.fn, group.iommuGroup);
  return {
    iommufd: { file, bound },
    get space() {
      return bound.space;
    },
    async start() {
      await bound.attach(file.compatIoas());
    },
    release: () => bound.unbind(),
  };
}

function hasCompatIoas(file: IommufdFile): boolean {
  try {
    file.compatIoas();
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'ENODEV') return false;
    throw error;
  }
}
