/** read(2) and write(2) on a device file: file offset → region and offset in it (vfio_pci_rw()). */
import { refuse } from '../../abi/errno.js';
import { NUM_REGIONS, RegionIndex } from '../../abi/vfio/index.js';
import { REGION_SHIFT } from '../../host/pages.js';
import type { OpenDevice } from '../open-device.js';
import { readBar, writeBar } from './bar-access.js';
import { readSpecific, specificRegions, writeSpecific } from './specific.js';

interface Place {
  readonly index: number;
  readonly at: number;
}

/** Region n lies at `pagesBase + n << 40`: EINVAL outside of all regions. */
function locate(open: OpenDevice, offset: bigint): Place {
  const position = offset - BigInt(open.fn.pagesBase);
  const index = position >> REGION_SHIFT;
  if (index < 0n || index >= BigInt(NUM_REGIONS + specificRegions(open).length))
    return refuse('EINVAL', `offset 0x${offset.toString(16)} lies in no region`);
  return { index: Number(index), at: Number(BigInt.asUintN(Number(REGION_SHIFT), position)) };
}

/** May be short at the end of a BAR. */
export function readRegion(open: OpenDevice, offset: bigint, length: number): Buffer {
  const { index, at } = locate(open, offset);
  const { overlay } = open.device;
  const region = overlay?.regions.get(index);
  if (region) return region.read(open, at, length);
  if (index < RegionIndex.ROM) return readBar(open, index, at, length);
  if (index === RegionIndex.CONFIG) {
    const bytes = open.config.read(at, length);
    overlay?.configRead(at, bytes);
    return bytes;
  }
  if (index >= NUM_REGIONS) return readSpecific(open, index, at, length);
  return index === RegionIndex.ROM ? readRom(open, at) : noVga();
}

export function writeRegion(open: OpenDevice, offset: bigint, data: Buffer): number {
  const { index, at } = locate(open, offset);
  const { overlay } = open.device;
  const region = overlay?.regions.get(index);
  if (region) return region.write(open, at, data);
  if (index < RegionIndex.ROM) return writeBar(open, index, at, data);
  if (index === RegionIndex.CONFIG) {
    overlay?.configWritten(at, data);
    return open.config.write(at, data);
  }
  if (index >= NUM_REGIONS) return writeSpecific(open, index, at, data);
  return index === RegionIndex.ROM ? refuse('EINVAL', 'the ROM can not be written') : noVga();
}

/** pci_map_rom() finds no image. */
function readRom(open: OpenDevice, at: number): never {
  if (at >= open.fn.romSize) return refuse('EINVAL', `the ROM has no byte ${at}`);
  return refuse('ENOMEM', 'the ROM holds no image');
}

function noVga(): never {
  return refuse('EINVAL', 'this kernel has no VFIO VGA support');
}
