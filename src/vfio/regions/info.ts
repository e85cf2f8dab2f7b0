/** VFIO_DEVICE_GET_REGION_INFO (vfio_pci_ioctl_get_region_info()). */
import { refuse } from '../../abi/errno.js';
import {
  type InfoCapability,
  NUM_REGIONS,
  REGION_CAP_MSIX_MAPPABLE,
  RegionFlag,
  RegionIndex,
  regionInfo,
} from '../../abi/vfio/index.js';
import { REGION_SHIFT } from '../../host/pages.js';
import type { IoctlCall } from '../../vfs/ioctl.js';
import { readArgument, writeInfo } from '../arguments.js';
import { msixTable } from '../irqs/available.js';
import type { OpenDevice } from '../open-device.js';

const { READ, WRITE, MMAP, CAPS } = RegionFlag;
const none: readonly InfoCapability[] = [];
const msixMappable: readonly InfoCapability[] = [
  { id: REGION_CAP_MSIX_MAPPABLE, version: 1, body: Buffer.alloc(0) },
];

interface Region {
  readonly size: number;
  readonly flags: number;
  readonly capabilities: readonly InfoCapability[];
}

/** A region that does not exist has size 0 and no flags; an index that has no meaning is EINVAL. */
function region(open: OpenDevice, index: number): Region {
  if (index < RegionIndex.ROM) return barRegion(open, index);
  switch (index) {
    case RegionIndex.CONFIG:
      return { size: open.fn.config.size, flags: READ | WRITE, capabilities: none };
    case RegionIndex.ROM:
      // The ROM's size is told only when there is an image in it, and none of our functions has one.
      return { size: 0, flags: 0, capabilities: none };
    case RegionIndex.VGA:
      return refuse('EINVAL', 'this kernel has no VFIO VGA support');
    default:
      return refuse('EINVAL', `no region ${index} of ${NUM_REGIONS}`);
  }
}

function barRegion(open: OpenDevice, index: number): Region {
  const bar = open.fn.bars[index];
  if (!bar) return { size: 0, flags: 0, capabilities: none };
  if (!open.mappable.has(index)) return { size: bar.size, flags: READ | WRITE, capabilities: none };
  // The table may be mapped too: interrupts are programmed through SET_IRQS, a store to it harms nobody.
  const capabilities = msixTable(open.fn)?.bar === index ? msixMappable : none;
  return { size: bar.size, flags: READ | WRITE | MMAP, capabilities };
}

export async function getRegionInfo(open: OpenDevice, call: IoctlCall): Promise<number> {
  const asked = await readArgument(call, regionInfo);
  const { size, flags, capabilities } = region(open, asked.index);
  const offset = (BigInt(asked.index) << REGION_SHIFT) + BigInt(open.fn.pagesBase);
  const info = { ...asked, flags, size: BigInt(size), offset };
  await writeInfo(call, regionInfo, info, capabilities, CAPS);
  return 0;
}
