/** VFIO_DEVICE_GET_REGION_INFO (vfio_pci_ioctl_get_region_info()). */
import { refuse } from '../../abi/errno.js';
import {
  capSparseMmapBody,
  type InfoCapability,
  RegionCap,
  RegionFlag,
  RegionIndex,
  regionInfo,
  sparseMmapArea,
} from '../../abi/vfio/index.js';
import { REGION_SHIFT } from '../../host/pages.js';
import { mapRom } from '../../host/rom.js';
import type { IoctlCall } from '../../vfs/ioctl.js';
import { readArgument, writeInfo } from '../arguments.js';
import { msixTable } from '../irqs/available.js';
import type { OpenDevice } from '../open-device.js';
import { D3HOT, powerStateOf } from '../power.js';
import { type Area, mappableAreas } from './mappable.js';
import { specificRegion, typeCapability } from './specific.js';

const { READ, WRITE, MMAP, CAPS } = RegionFlag;
const none: readonly InfoCapability[] = [];
const msixMappable: readonly InfoCapability[] = [
  { id: RegionCap.MSIX_MAPPABLE, version: 1, body: Buffer.alloc(0) },
];

interface Region {
  readonly size: number;
  readonly flags: number;
  readonly capabilities: readonly InfoCapability[];
}

/** A region that does not exist has size 0 and no flags; an index that has no meaning is EINVAL. */
function region(open: OpenDevice, index: number): Region {
  const overlaid = open.device.overlay?.regions.get(index);
  if (overlaid) return { size: overlaid.size, flags: READ | WRITE, capabilities: none };
  if (index < RegionIndex.ROM) return barRegion(open, index);
  switch (index) {
    case RegionIndex.CONFIG:
      return { size: open.fn.config.size, flags: READ | WRITE, capabilities: none };
    case RegionIndex.ROM:
      return romRegion(open);
    case RegionIndex.VGA:
      return refuse('EINVAL', 'this kernel has no VFIO VGA support');
    default:
      return specific(open, index);
  }
}

/** Of the BAR's size, and only where an image starts in it; memory decode is turned on to look. */
function romRegion({ fn }: OpenDevice): Region {
  const found = fn.present && powerStateOf(fn) < D3HOT && mapRom(fn, true);
  return { size: found ? fn.romSize : 0, flags: found ? READ : 0, capabilities: none };
}

function specific(open: OpenDevice, index: number): Region {
  const found = specificRegion(open, index);
  if (!found) return refuse('EINVAL', `there is no region ${index}`);
  const flags = found.writable ? READ | WRITE : READ;
  return { size: found.size, flags, capabilities: [typeCapability(found)] };
}

function barRegion(open: OpenDevice, index: number): Region {
  const bar = open.fn.bars[index];
  if (!bar) return { size: 0, flags: 0, capabilities: none };
  const areas = mappableAreas(open.fn, bar);
  if (!open.mappable.has(index) || areas.length === 0)
    return { size: bar.size, flags: READ | WRITE, capabilities: none };
  const table = msixTable(open.fn);
  // The table may be mapped too, if its page may: interrupts are programmed through SET_IRQS, a store to it harms nobody.
  const mappable =
    table?.bar === index && areas.some(({ start, end }) => start <= table.start && table.end <= end);
  const whole = areas.length === 1 && areas[0]!.start === 0 && areas[0]!.end >= bar.size;
  return {
    size: bar.size,
    flags: READ | WRITE | MMAP,
    capabilities: [...(mappable ? msixMappable : none), ...(whole ? none : [sparse(areas)])],
  };
}

function sparse(areas: readonly Area[]): InfoCapability {
  const rows = areas.map(({ start, end }) =>
    sparseMmapArea.encode({ offset: BigInt(start), size: BigInt(end - start) }),
  );
  const head = capSparseMmapBody.encode({ nrAreas: areas.length, reserved: 0 });
  return { id: RegionCap.SPARSE_MMAP, version: 1, body: Buffer.concat([head, ...rows]) };
}

export async function getRegionInfo(open: OpenDevice, call: IoctlCall): Promise<number> {
  const asked = await readArgument(call, regionInfo);
  const { size, flags, capabilities } = region(open, asked.index);
  const offset = (BigInt(asked.index) << REGION_SHIFT) + BigInt(open.fn.pagesBase);
  const info = { ...asked, flags, size: BigInt(size), offset };
  await writeInfo(call, regionInfo, info, capabilities, CAPS);
  return 0;
}
