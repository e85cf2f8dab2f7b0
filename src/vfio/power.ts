/** Power states: PMCSR, runtime PM of idle devices, and the low-power features a client can ask for. */
import { refuse } from '../abi/errno.js';
import {
  PCI_CAP_ID_PM,
  PCI_PM_CAP_D1,
  PCI_PM_CAP_D2,
  PCI_PM_CTRL,
  PCI_PM_CTRL_NO_SOFT_RESET,
  PCI_PM_CTRL_STATE_MASK,
  PCI_PM_PMC,
} from '../abi/pci/index.js';
import type { PciFunction } from '../host/pci-function.js';
import type { EventFd } from '../vfs/caller.js';
import { restoreState, saveState } from './reset.js';

export const D0 = 0;
export const D3HOT = 3;

/** 0 (D0) … 3 (D3hot); D0 for a function that has no power management. */
export function powerStateOf(fn: PciFunction): number {
  const pm = fn.config.find(PCI_CAP_ID_PM);
  return pm ? fn.config.read(pm.offset + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK : D0;
}

/** PMC's bits of the states that a function need not have. */
const optionalStates = [0, PCI_PM_CAP_D1, PCI_PM_CAP_D2, 0];

/** pci_set_low_power_state(): from a low-power state it only goes deeper, or to D0. */
function canEnter(fn: PciFunction, pm: number, before: number, state: number): boolean {
  const optional = optionalStates[state]!;
  return state === D0 || (state >= before && (fn.config.read(pm + PCI_PM_PMC, 2) & optional) === optional);
}

/** pci_set_power_state(); waking from D3hot loses what the device held unless it says NoSoftRst (vfio_pci_set_power_state()). */
export function setPowerState(fn: PciFunction, state: number): void {
  const pm = fn.config.find(PCI_CAP_ID_PM);
  // The VFs of a sleeping PF would be gone.
  if (!pm || (state > D0 && fn.sriov && fn.sriov.numVfs > 0)) return;
  const at = pm.offset + PCI_PM_CTRL;
  const before = fn.config.read(at, 2);
  if (!canEnter(fn, pm.offset, before & PCI_PM_CTRL_STATE_MASK, state)) return;
  const loses =
    (before & PCI_PM_CTRL_STATE_MASK) === D3HOT && state === D0 && !(before & PCI_PM_CTRL_NO_SOFT_RESET);
  const saved = loses ? saveState(fn) : undefined;
  saved?.writeUInt16LE(before & ~PCI_PM_CTRL_STATE_MASK, at);
  fn.config.write(at, 2, (before & ~PCI_PM_CTRL_STATE_MASK) | state);
  if (!saved) return;
  fn.model?.model.reset();
  restoreState(fn, saved);
}

/** What low power has to silence. */
interface MaskableLine {
  /** True when this call masked it: it was neither masked nor off before. */
  mask(): boolean;
  unmask(): void;
}

/** Runtime PM of an open device (vfio_pci_core_pm_entry() and following): while engaged it sleeps between accesses. */
export class LowPower {
  private engaged = false;
  private asleep = false;
  private maskedHere = false;
  private wakeup: EventFd | undefined;
  private accesses = 0;

  constructor(
    private readonly fn: PciFunction,
    private readonly line: MaskableLine,
  ) {}

  /** LOW_POWER_ENTRY: sleeps once the access that asks for it is over. EINVAL when engaged already. */
  enter(wakeup?: EventFd): void {
    if (this.engaged) refuse('EINVAL', 'low power is engaged already');
    this.engaged = true;
    this.wakeup = wakeup;
  }

  get isEngaged(): boolean {
    return this.engaged;
  }

  exit(): void {
    this.engaged = false;
    this.wakeup?.close();
    this.wakeup = undefined;
  }

  /** Runs one access with the device awake. */
  during<T>(access: () => T): T {
    this.accesses++;
    if (this.asleep) this.resume();
    let result: T;
    try {
      result = access();
    } catch (error) {
      this.done();
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.done()) as T;
    this.done();
    return result;
  }

  private done(): void {
    if (--this.accesses > 0 || !this.engaged || this.asleep) return;
    this.asleep = true;
    this.maskedHere = this.line.mask();
    setPowerState(this.fn, D3HOT);
  }

  /** vfio_pci_core_runtime_resume(): whoever asked to be woken is told, and low power is over for them. */
  private resume(): void {
    this.asleep = false;
    setPowerState(this.fn, D0);
    if (this.wakeup) {
      this.wakeup.signal();
      this.exit();
    }
    if (this.maskedHere) this.line.unmask();
    this.maskedHere = false;
  }
}
