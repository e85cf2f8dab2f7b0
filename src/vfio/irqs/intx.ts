/** The INTx line of an open device (vfio_pci_intrs.c): level-triggered, so it is masked as it is signalled, until UNMASK. */
import { refuse } from '../../abi/errno.js';
import { PCI_STATUS, PCI_STATUS_INTERRUPT } from '../../abi/pci/index.js';
import { allowLine } from '../../host/messages.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { EventFd } from '../../vfs/caller.js';

export class Intx {
  private on = false;
  private masked = false;
  private trigger: EventFd | undefined;
  private unmasker: EventFd | undefined;
  /** The client's INTx-disable bit (virq_disabled). */
  private disabledByClient = false;

  constructor(private readonly fn: PciFunction) {}

  get enabled(): boolean {
    return this.on;
  }

  /** ENODEV without a line; enabled without a trigger when there is none yet. */
  enable(trigger: EventFd | undefined): void {
    if (this.fn.irq === 0) refuse('ENODEV', `${this.fn.bdf} has no INTx line`);
    this.on = true;
    this.trigger = trigger;
    this.masked = this.disabledByClient;
    allowLine(this.fn.config, !this.masked);
    if (this.asserted) this.raise();
  }

  replaceTrigger(trigger: EventFd | undefined): void {
    this.trigger?.close();
    this.trigger = trigger;
  }

  disable(): void {
    this.setUnmasker(undefined);
    this.replaceTrigger(undefined);
    this.on = false;
  }

  /** The line rose: vfio_intx_handler(). */
  raise(): void {
    if (!this.on || this.masked) return;
    this.masked = true;
    allowLine(this.fn.config, false);
    this.signal();
  }

  /** Loopback, and what a raised line comes to. */
  signal(): void {
    if (this.on && !this.disabledByClient) this.trigger?.signal();
  }

  mask(): boolean {
    if (!this.on) {
      allowLine(this.fn.config, false);
      return false;
    }
    if (this.masked) return false;
    this.masked = true;
    allowLine(this.fn.config, false);
    return true;
  }

  /** A line that is still asserted is signalled again at once, and stays masked. */
  unmask(): void {
    if (!this.on) allowLine(this.fn.config, true);
    else if (this.masked && !this.disabledByClient) {
      if (this.asserted) this.signal();
      else {
        this.masked = false;
        allowLine(this.fn.config, true);
      }
    }
  }

  /**
   * UNMASK by eventfd: EBUSY while one is installed; undefined removes it. One whose last descriptor was closed is gone, too
   * (virqfd_wakeup()): QEMU with KVM leaves it at that when it turns INTx off and on.
   */
  setUnmasker(eventfd: EventFd | undefined): void {
    if (eventfd && this.unmasker?.heldByClient()) {
      eventfd.close();
      refuse('EBUSY', 'an unmask eventfd is installed already');
    }
    this.unmasker?.close();
    this.unmasker = eventfd;
    if (!eventfd) return;
    eventfd.listen(() => this.unmask());
  }

  setDisabledByClient(disabled: boolean): void {
    if (disabled === this.disabledByClient) return;
    this.disabledByClient = disabled;
    if (disabled) this.mask();
    else this.unmask();
  }

  /** pci_check_and_unmask_intx() reads it from the device, behind all stores that the client made before. */
  private get asserted(): boolean {
    this.fn.model?.model.attend?.();
    return (this.fn.config.read(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT) !== 0;
  }
}
