/**
 * What exists of a device from its first open to its last close (vfio_pci_core_enable(), vfio_pci_core_disable()): the client's view of
 * configuration space, its interrupts, its DMA.
 */
import {
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
} from '../abi/pci/index.js';
import type { PciFunction } from '../host/pci-function.js';
import { type ConfigActions, VirtualConfig } from './config/virtual-config.js';
import type { DeviceBinding, VfioDevice } from './device.js';
import { IommuDma } from './dma.js';
import { IoEventFds } from './ioeventfds.js';
import { Interrupts } from './irqs/interrupts.js';
import { D0, D3HOT, LowPower, powerStateOf, setPowerState } from './power.js';
import { isMappable } from './regions/mappable.js';
import { resetFunction, restoreState, saveState } from './reset.js';

export class OpenDevice {
  readonly fn: PciFunction;
  readonly config: VirtualConfig;
  readonly irqs: Interrupts;
  readonly power: LowPower;
  readonly ioeventfds: IoEventFds;
  /** The function was reset when it was opened, so it can be: the RESET flag. */
  readonly resetWorks: boolean;
  /** BARs that may be mapped. */
  readonly mappable: ReadonlySet<number>;
  private readonly saved: Buffer;

  constructor(
    readonly device: VfioDevice,
    binding: DeviceBinding,
  ) {
    const { fn } = device;
    this.fn = fn;
    // First, as it may start the model: if that fails, nothing has happened yet.
    // Looked at only for the sake of a BAR smaller than a page.
    const others = { [Symbol.iterator]: () => device.registry.host.functions.values() };
    this.mappable = new Set(
      fn.bars.flatMap((bar) => (bar && isMappable(fn, bar, others) ? [bar.index] : [])),
    );
    setCommand(fn, 0, PCI_COMMAND_MASTER);
    enable(fn);
    this.resetWorks = resetFunction(fn);
    this.saved = saveState(fn);
    setCommand(fn, 0, PCI_COMMAND_INTX_DISABLE);
    this.irqs = new Interrupts(fn, () => this.config.interruptPin);
    const { intx } = this.irqs;
    this.power = new LowPower(fn, { mask: () => intx.enabled && intx.mask(), unmask: () => intx.unmask() });
    this.config = new VirtualConfig(fn, this.configActions());
    this.ioeventfds = new IoEventFds(this);
    fn.sinks.dma = new IommuDma(() => binding.space);
    fn.sinks.msi = (vector) => this.irqs.messages.signal(vector);
    fn.sinks.intx = (asserted) => {
      if (asserted) intx.raise();
    };
  }

  /** __vfio_pci_memory_enabled(): by the client's COMMAND and the power state; a VF has no bit of its own. */
  get memoryEnabled(): boolean {
    if (!this.fn.present || powerStateOf(this.fn) >= D3HOT) return false;
    return this.fn.physfn !== undefined || (this.config.command & PCI_COMMAND_MEMORY) !== 0;
  }

  /** VFIO_DEVICE_RESET: configuration, interrupts and ioeventfds persist. False without a reset method. */
  reset(): boolean {
    if (powerStateOf(this.fn) !== D0) setPowerState(this.fn, D0);
    return resetFunction(this.fn);
  }

  /** The function was pulled out: the user is told, and nothing it does reaches anybody any more. */
  lose(): void {
    this.irqs.err.signal();
    this.cutOff();
  }

  private cutOff(): void {
    const { sinks } = this.fn;
    sinks.dma = undefined;
    sinks.msi = undefined;
    sinks.intx = undefined;
  }

  /** The last close: no DMA, no interrupts, and the device as it was before. */
  close(): void {
    const { fn } = this;
    setCommand(fn, 0, PCI_COMMAND_MASTER);
    this.power.exit();
    this.irqs.close();
    this.ioeventfds.close();
    setPowerState(fn, D0);
    if (this.resetWorks) fn.reset();
    restoreState(fn, this.saved);
    this.cutOff();
    fn.enableCount--;
  }

  private configActions(): ConfigActions {
    const { irqs, fn } = this;
    return {
      intxDisabled: (disabled) => irqs.intx.setDisabledByClient(disabled),
      get msiEnabled() {
        return irqs.messages.current === 'msi';
      },
      get msiQueueSize() {
        return irqs.messages.queueSize;
      },
      reset: () => void this.reset(),
      setPowerState: (state) => setPowerState(fn, state),
    };
  }
}

/** pci_enable_device(): whoever is first turns on decoding of the BARs there are. */
function enable(fn: PciFunction): void {
  if (fn.enableCount++ > 0) return;
  const bars = fn.bars.filter((bar) => bar !== undefined);
  const io = bars.some((bar) => bar.kind === 'io') ? PCI_COMMAND_IO : 0;
  const memory = bars.some((bar) => bar.kind !== 'io') ? PCI_COMMAND_MEMORY : 0;
  setCommand(fn, io | memory, 0);
}

function setCommand(fn: PciFunction, set: number, clear: number): void {
  const command = fn.config.read(PCI_COMMAND, 2);
  fn.config.write(PCI_COMMAND, 2, (command & ~clear) | set);
}
