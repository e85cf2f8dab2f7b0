/** /dev/iommu opened (drivers/iommu/iommufd/main.c). read and write are EINVAL, mmap ENODEV: nothing offers pages here. */
import { refuse } from '../../abi/errno.js';
import type { Host } from '../../host/host.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import type { IommufdFile } from '../contract.js';
import { bindAccess } from './access.js';
import { Context } from './context.js';
import { bindDevice } from './device.js';
import { readSize } from './operation.js';
import { iommufdIoctls, isMisshapen } from './table.js';

/** Each open is a context of its own. */
export function openIommufd(host: Host): IommufdFile {
  const context = new Context(host);
  const compatGroups = new Set<IommuGroup>();
  return {
    isIommufd: true,

    async ioctl(command, argument, caller) {
      const number = command >>> 0;
      if (isMisshapen(number)) await readSize(argument, caller);
      return iommufdIoctls.run(context, number, argument, caller);
    },

    release: () => context.put(),
    describe: () => 'iommufd',
    ioctlRow: (command) => iommufdIoctls.get(command >>> 0),
    bind: (fn, group) => (group.options.emulated ? bindAccess(context) : bindDevice(context, fn, group)),

    enterCompat(group, noiommu) {
      if (compatGroups.has(group))
        throw new Error(`group ${group.id} uses this iommufd as container already`);
      if (noiommu) {
        if (context.compat) refuse('EINVAL', 'a compat IOAS exists: no place for a group without an IOMMU');
        context.noiommu = true;
      } else {
        if (context.noiommu) refuse('EINVAL', 'this iommufd serves groups without an IOMMU');
        context.compat ??= context.createIoas();
      }
      compatGroups.add(group);
      context.hold();
    },

    leaveCompat(group) {
      if (!compatGroups.delete(group))
        throw new Error(`group ${group.id} does not use this iommufd as container`);
      context.put();
    },

    compatIoas: () => context.compatIoas.id,
  };
}
