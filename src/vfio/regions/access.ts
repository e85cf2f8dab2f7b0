/** read(2) and write(2) on a device file: file offset → region and offset in it (vfio_pci_rw()). */
import { refuse } from '../../abi/errno.js';
import { NUM_REGIONS, RegionIndex } from '../../abi/vfio/index.js';
import { REGION_SHIFT } from '../../host/pages.js';
import { mapRom } from '../../host/rom.js';
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
  return index === RegionIndex.ROM ? readRom(open, at, length) : noVga();
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

/** ENOMEM where the device shows no image. All of the BAR can be read: what the image does not fill is ones. */
function readRom(open: OpenDevice, at: number, length: number): Buffer {
  const { fn } = open;
  if (at >= fn.romSize) return refuse('EINVAL', `the ROM has no byte ${at}`);
  const rom = mapRom(fn, fn.memoryEnabled()) ?? refuse('ENOMEM', 'no image starts in the ROM');
  const bytes = Buffer.alloc(Math.min(length, fn.romSize - at), 0xff);
  const filled = Math.max(0, Math.min(bytes.length, rom.length - at));
  if (filled > 0 && !open.memoryEnabled) refuse('EIO', 'memory decode is off');
  rom.read(at, filled).copy(bytes);
  return bytes;
}

function noVga(): never {
  return refuse('EINVAL', 'this kernel has no VFIO VGA support');
}
