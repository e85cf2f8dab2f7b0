/** VFIO_DEVICE_FEATURE_DMA_BUF: a dma-buf of parts of a BAR (vfio_pci_core_feature_dma_buf()). */
import { refuse } from '../abi/errno.js';
import { Feature, FeatureFlag, featureDmaBuf, RegionIndex, regionDmaRange } from '../abi/vfio/index.js';
import type { Bar } from '../host/pci-function.js';
import { NewDescriptor } from '../vfs/node.js';
import type { FeatureCall, FeatureRow } from './feature-row.js';
import type { OpenDevice } from './open-device.js';
import { backingOf } from './regions/mappable.js';

const PAGE = 4096n;
const END = 2n ** 64n;
/** DMA_IOVA_USE_SWIOTLB: a total with this bit is none. */
const MOST_BYTES = 2n ** 63n;
/** KMALLOC_MAX_SIZE, which the list of ranges must fit in. */
const MOST_RANGES = (4 * 1024 * 1024) / regionDmaRange.size;

interface DmaRange {
  readonly offset: bigint;
  readonly length: bigint;
}

/** O_ACCMODE of `open_flags`. */
const accesses = ['read', 'write', 'both', 'read'] as const;

export const dmaBufFeature: readonly [number, FeatureRow] = [
  Feature.DMA_BUF,
  {
    operations: FeatureFlag.GET,
    size: featureDmaBuf.size,
    offered: (open) => isBuiltIn(open) && open.fn.driver?.module === 'vfio_pci',
    // Of variants only nvgrace-gpu has get_dmabuf_phys().
    lacking: (open) => (isBuiltIn(open) ? 'EOPNOTSUPP' : 'ENOTTY'),
    run: exportBar,
  },
];

const isBuiltIn = ({ device }: OpenDevice): boolean => device.registry.host.vfio.dmaBuf;

async function exportBar(open: OpenDevice, { caller, payload }: FeatureCall): Promise<NewDescriptor> {
  const bytes = await caller.memory.read(payload, featureDmaBuf.size);
  const { regionIndex, openFlags, flags, nrRanges } = featureDmaBuf.decode(bytes);
  if (nrRanges === 0 || flags !== 0) refuse('EINVAL', `${nrRanges} ranges, flags 0x${flags.toString(16)}`);
  const bar = regionIndex < RegionIndex.ROM ? open.fn.bars[regionIndex] : undefined;
  if (!bar) return refuse('ENODEV', `region ${regionIndex} is no BAR of ${open.fn.bdf}`);
  if (nrRanges > MOST_RANGES) refuse('ENOMEM', `${nrRanges} ranges`);
  const at = payload + BigInt(featureDmaBuf.size);
  const list = await caller.memory.read(at, nrRanges * regionDmaRange.size);
  const ranges = Array.from({ length: nrRanges }, (_, i) =>
    regionDmaRange.decode(list, i * regionDmaRange.size),
  );
  check(ranges);
  const { memory } = bar;
  if (!memory) return refuse('EINVAL', `BAR ${regionIndex} is no memory`);
  const parts = ranges.map((range) => partOf(bar, memory, range));
  const file = open.dmaBufs.export(open.fn.bdf, parts, backingOf(open.fn), !open.memoryEnabled);
  return new NewDescriptor(file, { access: accesses[(openFlags & 3) as 0 | 1 | 2 | 3] });
}

/** validate_dmabuf_input(). */
function check(ranges: readonly DmaRange[]): void {
  let total = 0n;
  for (const { offset, length } of ranges) {
    if (length === 0n || (offset | length) % PAGE !== 0n)
      refuse('EINVAL', `[${offset}, +${length}) is empty or not aligned to pages`);
    total += length;
    if (total >= END) refuse('EINVAL', 'the ranges are too long together');
  }
  if (total >= MOST_BYTES) refuse('EINVAL', 'the ranges are too long together');
}

/** vfio_pci_core_fill_phys_vec(). */
function partOf({ index, address, size }: Bar, memory: Buffer, { offset, length }: DmaRange): Buffer {
  if (address + offset + length >= END) refuse('EOVERFLOW', `[${offset}, +${length}) wraps`);
  if (offset + length > BigInt(size)) refuse('EINVAL', `BAR ${index} ends before [${offset}, +${length})`);
  return memory.subarray(Number(offset), Number(offset + length));
}
