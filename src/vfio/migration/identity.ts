/** What two functions must have in common for one to take the other's state. */
import type { PciFunction } from '../../host/pci-function.js';

/** Of the stream: whatever changes what a record means changes this. */
const FORMAT_VERSION = 1;

/** Compared as text, so that nothing of a client's is parsed: the first lines that differ tell why. */
/** `transitional`: with a legacy I/O BAR in front. */
export function identityOf(fn: PciFunction, transitional = false): Buffer {
  const { shape } = fn;
  const hex = (value = 0): string => value.toString(16);
  const bars = fn.bars.flatMap((bar) => (bar ? `bar ${bar.index} ${bar.kind} ${hex(bar.size)}` : []));
  const { msix, msi, pcie } = shape;
  const lines = [
    `vfiofs migration ${FORMAT_VERSION}`,
    `device ${hex(shape.vendor)}:${hex(shape.device)} ${hex(shape.subsystemVendor)}:${hex(shape.subsystemDevice)}`,
    `class ${hex(shape.classCode)} revision ${hex(shape.revision)}`,
    `model ${fn.modelName ?? 'none'} ${fn.state.version}`,
    ...(transitional ? ['transitional'] : []),
    ...bars,
    `msix ${msix ? `${msix.vectors} ${msix.bar} ${hex(msix.tableOffset)} ${hex(msix.pbaOffset)}` : 'none'}`,
    `msi ${msi ? `${msi.vectors} ${msi.maskable ?? false}` : 'none'}`,
    `pcie ${pcie?.type ?? 'none'} config ${hex(fn.config.size)}`,
    `memories ${fn.state
      .memories()
      .map(({ length }) => hex(length))
      .join(' ')}`,
  ];
  return Buffer.from(lines.join('\n'));
}
