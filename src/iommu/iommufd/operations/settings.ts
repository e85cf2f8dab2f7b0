/** IOMMU_OPTION and IOMMU_VFIO_IOAS: settings of a context (iommufd_option(), iommufd_vfio_ioas()). */
import { refuse } from '../../../abi/errno.js';
import { OptionId, OptionOp, option, VfioIoasOp, vfioIoas } from '../../../abi/iommufd/index.js';
import type { StructValue } from '../../../abi/struct.js';
import type { Caller } from '../../../vfs/caller.js';
import type { Context } from '../context.js';
import { operation } from '../operation.js';

type OptionRequest = StructValue<typeof option>;

function rlimitMode(context: Context, request: OptionRequest, caller: Caller): void {
  if (request.objectId !== 0) refuse('EOPNOTSUPP', 'RLIMIT_MODE is not an option of an object');
  if (request.op === OptionOp.GET) {
    request.val64 = context.rlimitMode;
  } else if (request.op === OptionOp.SET) {
    if (!caller.capable('SYS_RESOURCE')) refuse('EPERM', 'needs CAP_SYS_RESOURCE');
    if (context.objects.size > 0) refuse('EBUSY', 'objects exist');
    if (request.val64 > 1n) refuse('EINVAL', `value ${request.val64}`);
    context.rlimitMode = request.val64;
  } else refuse('EOPNOTSUPP', `op ${request.op}`);
}

function hugePages(context: Context, request: OptionRequest): void {
  const ioas = context.objects.find(request.objectId, 'ioas');
  if (request.op === OptionOp.GET) {
    request.val64 = ioas.hugePages ? 1n : 0n;
  } else if (request.op === OptionOp.SET) {
    if (request.val64 === 0n) ioas.disableHugePages();
    else if (request.val64 === 1n) ioas.enableHugePages();
    else refuse('EINVAL', `value ${request.val64}`);
  } else refuse('EOPNOTSUPP', `op ${request.op}`);
}

export const settingOperations = [
  operation('IOMMU_OPTION', option, 24, async ({ context, caller, request, respond }) => {
    if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
    if (request.optionId === OptionId.RLIMIT_MODE) rlimitMode(context, request, caller);
    else if (request.optionId === OptionId.HUGE_PAGES) hugePages(context, request);
    else refuse('EOPNOTSUPP', `option ${request.optionId}`);
    await respond();
  }),

  operation('IOMMU_VFIO_IOAS', vfioIoas, 12, async ({ context, request, respond }) => {
    if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
    switch (request.op) {
      case VfioIoasOp.GET:
        request.ioasId = context.compatIoas.id;
        return respond();
      case VfioIoasOp.SET:
        context.compat = context.objects.find(request.ioasId, 'ioas');
        return;
      case VfioIoasOp.CLEAR:
        context.compat = undefined;
        return;
      default:
        return refuse('EOPNOTSUPP', `op ${request.op}`);
    }
  }),
];
