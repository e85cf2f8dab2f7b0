/** pci_enable_device() and its undoing, for drivers, VFIO and the attribute `enable` alike (drivers/pci/pci.c). */
import { PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from '../abi/pci/index.js';
import type { PciFunction } from './pci-function.js';

/** Whoever is first turns on decoding of what there is to decode, and the bridges above, which stay on. */
export function enableFunction(fn: PciFunction): void {
  if (fn.enableCount++ > 0) return;
  if (fn.parent) enableBridge(fn.parent);
  const { bridge } = fn;
  const bars = fn.bars.filter((bar) => bar !== undefined);
  const io = bridge?.io || bars.some((bar) => bar.kind === 'io');
  const memory = bridge?.memory || bridge?.prefetchable || bars.some((bar) => bar.kind !== 'io');
  changeCommand(fn, (io ? PCI_COMMAND_IO : 0) | (memory ? PCI_COMMAND_MEMORY : 0), 0);
}

/** pci_enable_bridge(). */
function enableBridge(bridge: PciFunction): void {
  if (bridge.enableCount === 0) enableFunction(bridge);
  else if (bridge.parent) enableBridge(bridge.parent);
  changeCommand(bridge, PCI_COMMAND_MASTER, 0);
}

/** pci_disable_device(): of the command only bus mastering goes, with the last user. */
export function disableFunction(fn: PciFunction): void {
  if (--fn.enableCount === 0) changeCommand(fn, 0, PCI_COMMAND_MASTER);
}

export function changeCommand(fn: PciFunction, set: number, clear: number): void {
  fn.configure((config) => {
    const command = config.read(PCI_COMMAND, 2);
    const wanted = (command & ~clear) | set;
    if (wanted !== command) config.write(PCI_COMMAND, 2, wanted);
  });
}
