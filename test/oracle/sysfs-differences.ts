/** Lines of the sysfs transcript that differ on purpose; each with its reason, and where a tool could notice a row in docs/differences.md. */
export interface SysfsDifference {
  /** A line of either transcript: a path with what stands there, before or after a step. */
  readonly line: RegExp;
  readonly why: string;
}

export const differences: readonly SysfsDifference[] = [
  {
    line: /^\/sys\/bus\/pci\/drivers dir |^\/sys\/(bus\/pci\/drivers|module)\/(mlx5_core|hisi_(sec2|hpre|zip)|(mlx5|virtio|hisi_acc)_vfio_pci)/,
    why: 'the kernel of the recordings was built without the variants of vfio-pci and the drivers of their PFs',
  },
  {
    line: /\/config@070 05 00 81 00 .. .. e0 fe/,
    why: 'the entry of the remapping table that a message names follows the order in which vectors were given out',
  },
  {
    line: /0000:00:02\.0\/irq /,
    why: 'firmware has told the line of the interrupt controller at once, not when the function is enabled first',
  },
  { line: /^pread .*\/resource2 /, why: 'an inert function answers nothing to port accesses: ones' },
  { line: /^mmap .*\/resource2 /, why: 'mmap is not asked here: ENODEV in place of EINVAL' },
  {
    line: /0000:01:00\.[12]\/config@030 /,
    why: "QEMU's VFs have an interrupt pin, which a VF can't have (SR-IOV 9.3.4.1.17)",
  },
];
