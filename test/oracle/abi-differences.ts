/** Lines of the ABI transcripts that differ on purpose. Each has its row in docs/differences*.md, but for the oracle's own limits. */
import { readFileSync } from 'node:fs';

export interface Difference {
  readonly scenario: RegExp;
  /** The recorded line, and the one here at the same place. */
  readonly kernel: RegExp;
  readonly ours: RegExp;
  readonly why: string;
}

const capabilities = /^CapEff:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;

/** CAP_SYS_RESOURCE, bit 24: without it setting RLIMIT_MODE is EPERM, here as anywhere. */
export const resource = ((BigInt(`0x${capabilities}`) >> 24n) & 1n) === 1n;

export const differences: readonly Difference[] = [
  // Files.
  {
    scenario: /^(group|access|cdev|ioas)$/,
    kernel: /lseek.* = ESPIPE$/,
    ours: /lseek.* = \d$/,
    why: 'a FUSE file that is read at offsets can be seeked',
  },
  {
    scenario: /^(mapping|cdev)$/,
    kernel: /mmap.* = EINVAL$/,
    ours: /mmap.* = (mapped|0)$/,
    why: 'the kernel maps the backing file without asking',
  },
  {
    scenario: /^ioas$/,
    kernel: /^iommu\.mmap = ENXIO$/,
    ours: /^iommu\.mmap = ENODEV$/,
    why: 'a FUSE file with direct I/O has no mmap',
  },
  {
    scenario: /^(mapping|power)$/,
    kernel: /^ {2}load .*: BUS$/,
    ours: /^ {2}load .*: ok$/,
    why: 'pages shared by passthrough stay mapped',
  },
  {
    scenario: /^info$/,
    kernel: /GET_REGION_INFO.* = 0 .*flags=/,
    ours: /GET_REGION_INFO.* = 0 .*flags=.* offset=0x1[0-7]0000000000/,
    why: 'the second function of a group has its regions in a window of its own',
  },
  {
    scenario: /^info$/,
    kernel: /GET_REGION_INFO.* = 0 offset=0x[45]0000000000$/,
    ours: /GET_REGION_INFO.* = 0 offset=0x1[45]0000000000$/,
    why: 'the second function of a group has its regions in a window of its own',
  },
  {
    scenario: /^info$/,
    kernel: /GET_REGION_INFO\( argsz=0x(20|28) flags=0 index=6 .* = 0 flags=1 size=0x40000 /,
    ours: /GET_REGION_INFO\( argsz=0x(20|28) flags=0 index=6 .* = 0 offset=/,
    why: 'no expansion ROM has an image',
  },
  // DMA.
  {
    scenario: /^dirty$/,
    kernel: /^ {2}words 00000000000000cf 0{16}$/,
    ours: /^ {2}words 0000000000000003 0{16}$/,
    why: 'bits that an earlier report had shifted stay in the bitmap of the kernel, behind those of the mapping',
  },
  // The oracle's own limits.
  {
    scenario: /^ioas_map$/,
    kernel: /IOAS_MAP\( size=0x28 flags=6 .* = 0 iova=0x(11|211|a11|c11)000$/,
    ours: /IOAS_MAP\( size=0x28 flags=6 .* = 0 iova=0x(2|4|c)00000$|iova=0x14000$/,
    why: 'the oracle is built without CONFIG_TRANSPARENT_HUGEPAGE, distribution kernels align chosen addresses to 2 MiB',
  },
  {
    scenario: /^edu_intx$/,
    kernel: /^ {2}(one|two): not signalled$/,
    ours: /^ {2}(one|two): 1$/,
    why: 'QEMU: the I/O APIC forgets a line that was up before its entry was unmasked; on hardware it interrupts at once',
  },
  // What QEMU's devices let be written, other than hardware does.
  {
    scenario: /^config_(writes|vf)$/,
    kernel: /^00[45]\/\d: .*? ones (0010|0000)?0?507 |^00[45]\/1: .. ones 0[57] /,
    ours: /^00[45]\/\d: .*? ones (0010|0000)?0?(547|406) |^00[45]\/1: .. ones (47|06|04) /,
    why: "QEMU: parity can't be turned on; VFs have I/O and SERR bits",
  },
  {
    scenario: /^config_(writes|vf)$/,
    kernel: /^00[cd]\/[14]: (00..)?0000 ones (00..00ff|00..0000|ff|00) |^00[cd]\/[14]: 00 ones (ff|00) /,
    ours: /^00[cd]\/[14]: (00..)?0000 ones (00..ffff|00..0000) |^00[cd]\/[14]: 00 ones (ff|00) /,
    why: 'QEMU: conventional functions have no latency timer, VFs have a cache line size',
  },
  {
    scenario: /^config_(writes|vf)$/,
    kernel: /^...\/4: 00000000 ones ffffffff zeros 00000000 /,
    ours: /^...\/4: 00000000 ones 0000(0000|ffff) zeros 00000000 /,
    why: 'QEMU: what belongs to no capability can be written',
  },
  {
    scenario: /^config_writes$/,
    kernel: /^(108\/4: 00000000 ones 00000000|10c\/4: 00462030 ones 03fff030) /,
    ours: /^(108\/4: 00000000|10c\/4: 00462030) ones 03fff031 /,
    why: "QEMU's e1000e: AER's mask, and bit 0 of its severity, can't be written",
  },
  ...(resource
    ? []
    : [
        {
          scenario: /^matrix$/,
          kernel: /^0x3b87: null EFAULT zeros EINVAL sized (0|EBUSY)$/,
          ours: /^0x3b87: null EFAULT zeros EINVAL sized EPERM$/,
          why: 'the test runs without CAP_SYS_RESOURCE',
        },
      ]),
];
