/**
 * What exists of a device from its first open to its last close (vfio_pci_core_enable(), vfio_pci_core_disable()): the client's view of
 * configuration space, its interrupts, its DMA.
 */
import { PCI_COMMAND_INTX_DISABLE, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from '../abi/pci/index.js';
import { changeCommand, disableFunction, enableFunction } from '../host/enable.js';
import { noSinks, type PciFunction } from '../host/pci-function.js';
import type { EventFd } from '../vfs/caller.js';
import { type ConfigActions, VirtualConfig } from './config/virtual-config.js';
import type { DeviceBinding, VfioDevice } from './device.js';
import { IommuDma } from './dma.js';
import { DmaBufs } from './dma-buf.js';
import { DmaLog } from './dma-logging.js';
import { IoEventFds } from './ioeventfds.js';
import { Interrupts } from './irqs/interrupts.js';
import { Migration } from './migration/migration.js';
import { D0, D3HOT, LowPower, powerStateOf, setPowerState } from './power.js';
import { backingOf, isMappable } from './regions/mappable.js';
import { resetFunction, restoreState, saveState } from './reset.js';

export class OpenDevice {
  readonly fn: PciFunction;
  readonly config: VirtualConfig;
  readonly irqs: Interrupts;
  readonly power: LowPower;
  readonly ioeventfds: IoEventFds;
  readonly dmaBufs = new DmaBufs();
  /** undefined: the device does not migrate. */
  readonly migration: Migration | undefined;
  /** undefined: it can't tell what it wrote. */
  readonly dmaLog: DmaLog | undefined;
  /** The function was reset when it was opened, so it can be: the RESET flag. */
  readonly resetWorks: boolean;
  /** BARs that may be mapped: not those whose `resourceN` somebody has open or mapped, with the pages of it. */
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
      fn.bars.flatMap((bar) => (bar && isMappable(fn, bar, others) && bar.home!.recall() ? [bar.index] : [])),
    );
    changeCommand(fn, 0, PCI_COMMAND_MASTER);
    enableFunction(fn);
    this.resetWorks = resetFunction(fn);
    const { overlay } = device;
    if (this.resetWorks) overlay?.resetDone();
    this.saved = saveState(fn);
    changeCommand(fn, 0, PCI_COMMAND_INTX_DISABLE);
    this.irqs = new Interrupts(fn, () => this.config.interruptPin);
    const { intx } = this.irqs;
    this.power = new LowPower(fn, {
      mask: () => intx.enabled && intx.mask(),
      unmask: () => intx.unmask(),
    });
    this.config = new VirtualConfig(fn, this.configActions());
    this.ioeventfds = new IoEventFds(this);
    const { migration, dmaLogging } = device.variant;
    this.migration =
      migration && new Migration({ fn, config: this.config, backing: backingOf(fn), overlay }, migration);
    const dmaLog = dmaLogging ? new DmaLog() : undefined;
    this.dmaLog = dmaLog;
    fn.sinks.dma = new IommuDma(
      () => binding.space,
      (pasid) => binding.spaceOf?.(pasid),
      (iova, length) => dmaLog?.wrote(iova, length),
    );
    fn.sinks.resetDone = () => {
      overlay?.resetDone();
      this.migration?.resetDone();
    };
    fn.sinks.msi = (vector) => this.irqs.messages.signal(vector);
    fn.sinks.intx = (asserted) => {
      if (asserted) intx.raise();
    };
    fn.held = true;
  }

  /** __vfio_pci_memory_enabled(): by the client's COMMAND and the power state; a VF has no bit of its own. */
  get memoryEnabled(): boolean {
    if (!this.fn.present || powerStateOf(this.fn) >= D3HOT) return false;
    return this.fn.physfn !== undefined || (this.config.command & PCI_COMMAND_MEMORY) !== 0;
  }

  /** VFIO_DEVICE_RESET: configuration, interrupts and ioeventfds persist. False without a reset method. */
  reset(): boolean {
    return this.withoutDmaBufs(() => {
      if (powerStateOf(this.fn) !== D0) setPowerState(this.fn, D0);
      return resetFunction(this.fn);
    });
  }

  /** Runs `act`, during which the BARs may be out of reach; afterwards they are mapped by nobody, and can be again where they are back. */
  withoutDmaBufs<T>(act: () => T): T {
    this.dmaBufs.revoke();
    const result = act();
    this.allowDmaBufs();
    return result;
  }

  private allowDmaBufs(): void {
    if (this.memoryEnabled) this.dmaBufs.allow();
  }

  /** LOW_POWER_ENTRY; EINVAL when engaged, which also takes the dma-bufs back (vfio_pci_runtime_pm_entry()). */
  enterLowPower(wakeup?: EventFd): void {
    this.dmaBufs.revoke();
    this.power.enter(wakeup);
  }

  exitLowPower(): void {
    this.power.exit();
    this.allowDmaBufs();
  }

  /** The function was pulled out: the user is told, and nothing it does reaches anybody any more. */
  lose(): void {
    this.irqs.err.signal();
    this.dmaBufs.close();
    this.cutOff();
  }

  private cutOff(): void {
    Object.assign(this.fn.sinks, noSinks());
  }

  /** The last close: no DMA, no interrupts, and the device as it was before. */
  close(): void {
    const { fn } = this;
    this.dmaBufs.close();
    changeCommand(fn, 0, PCI_COMMAND_MASTER);
    this.power.exit();
    this.irqs.close();
    this.ioeventfds.close();
    setPowerState(fn, D0);
    if (this.resetWorks) fn.reset();
    restoreState(fn, this.saved);
    this.cutOff();
    // Last: whatever a paused device had left to do reaches nobody any more.
    this.migration?.close();
    disableFunction(fn);
    fn.held = false;
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
      setPowerState: (state) => {
        if (state >= D3HOT) this.dmaBufs.revoke();
        setPowerState(fn, state);
        this.allowDmaBufs();
      },
      decodes: (memory) => {
        if (!memory) this.dmaBufs.revoke();
        else this.allowDmaBufs();
      },
    };
  }
}
