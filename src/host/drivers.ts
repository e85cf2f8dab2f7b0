/**
 * The driver core: which driver takes which function, and in which order the world sees it (drivers/base/dd.c, bus.c,
 * drivers/pci/pci-driver.c). Names are device names without the newline that `echo` adds.
 */
import { KernelError, refuse } from '../abi/errno.js';
import type { PciDriver, PciId } from './driver.js';
import type { ChangeBus, KobjectEvent } from './events.js';
import type { HostFunction } from './function.js';
import type { PciDrivers } from './host.js';
import { findDynamicId, type Identity, matchesTable, parseDynamicId } from './pci-id.js';
import { didYouMean } from './suggest.js';

export class DriverCore implements PciDrivers {
  autoprobe = true;
  /** False until applyInitialBindings(): drivers registered before find nothing to take, as before PCI is scanned at boot. */
  private started = false;
  private readonly drivers = new Map<string, PciDriver>();
  private readonly dynamicIds = new Map<PciDriver, PciId[]>();

  constructor(
    private readonly functions: ReadonlyMap<string, HostFunction>,
    private readonly changes: ChangeBus,
    private readonly uevents: ChangeBus<KobjectEvent>,
    /** Told of each driver, so that its module exists and lists it. */
    private readonly registered: (driver: PciDriver) => void,
  ) {}

  all(): Iterable<PciDriver> {
    return this.drivers.values();
  }

  get(name: string): PciDriver | undefined {
    return this.drivers.get(name);
  }

  register(driver: PciDriver): void {
    if (this.drivers.has(driver.name)) throw new Error(`driver ${driver.name} is registered already`);
    this.drivers.set(driver.name, driver);
    this.dynamicIds.set(driver, []);
    this.registered(driver);
    if (this.started && this.autoprobe) this.attachAll(driver);
  }

  bind(driver: PciDriver, name: string): void {
    const fn = this.functions.get(name);
    if (!fn) refuse('ENODEV', `no device ${name}`);
    if (!this.matches(driver, fn)) refuse('ENODEV', `${name} does not match ${driver.name}`);
    if (fn.driver) refuse('EBUSY', `${name} is bound to ${fn.driver.name}`);
    // The kernel would wait on the device lock; whoever unbinds waits for the clients, so this writer is told at once.
    if (fn.unbinding) refuse('EBUSY', `${name} is still being unbound`);
    this.attach(driver, fn);
  }

  async unbind(driver: PciDriver, name: string): Promise<void> {
    const fn = this.functions.get(name);
    if (fn?.driver !== driver) refuse('ENODEV', `${name} is not bound to ${driver.name}`);
    await this.release(fn);
  }

  /** device_release_driver(): nothing when unbound; an unbinding under way is waited for. */
  async release(fn: HostFunction): Promise<void> {
    if (!fn.driver) return fn.unbinding;
    fn.unbinding = this.detach(fn.driver, fn);
    try {
      await fn.unbinding;
    } finally {
      fn.unbinding = undefined;
    }
  }

  /** The link first, then the driver's remove, then DMA back to whoever comes next. */
  private async detach(driver: PciDriver, fn: HostFunction): Promise<void> {
    // A function that is pulled out leaves its group before its driver is through with it.
    const { iommuGroup } = fn;
    fn.driver = undefined;
    this.changes.emit({ kind: 'driver-unbound', function: fn, driver: driver.name });
    this.attributesChanged(fn);
    try {
      await driver.remove?.(fn);
    } finally {
      fn.attributes?.unbound(driver.name);
      if (!driver.managesDma) iommuGroup?.unuseKernelDma();
    }
    if (fn.present) this.uevents.emit({ action: 'unbind', subject: { kind: 'pci', function: fn } });
  }

  probe(name: string): void {
    const fn = this.functions.get(name);
    if (!fn) refuse('ENODEV', `no device ${name}`);
    this.attachAny(fn);
  }

  newId(driver: PciDriver, text: string): void {
    const dynamic = this.dynamicIds.get(driver)!;
    const written = parseDynamicId(text);
    if (!written.complete && matchesTable(driver, dynamic, written.identity))
      refuse('EEXIST', `${driver.name} has the id already`);
    // No static entry here carries driver data.
    if (driver.ids.length > 0 && written.driverData !== 0n)
      refuse('EINVAL', `driver_data 0x${written.driverData.toString(16)} is not in ${driver.name}'s table`);
    dynamic.push(written.id);
    this.attachAll(driver);
  }

  removeId(driver: PciDriver, text: string): void {
    const dynamic = this.dynamicIds.get(driver)!;
    const index = findDynamicId(dynamic, parseDynamicId(text).id);
    if (index < 0) refuse('ENODEV', `${driver.name} has no such dynamic id`);
    dynamic.splice(index, 1);
  }

  /** pci_match_device(): driver_override names one driver, which then takes anything. */
  matches(driver: PciDriver, fn: HostFunction): boolean {
    if (fn.driverOverride !== null) return fn.driverOverride === driver.name;
    return matchesTable(driver, this.dynamicIds.get(driver)!, identityOf(fn));
  }

  /** A new device: the kernel's choice when autoprobe is on. */
  deviceAdded(fn: HostFunction): void {
    if (this.started && this.autoprobe) this.attachAny(fn);
  }

  /** A new device that comes with a driver (`none`: with none). Throws the KernelError of the driver that refuses it. */
  deviceAddedFor(fn: HostFunction, name: string | undefined): void {
    if (name === undefined) this.deviceAdded(fn);
    else if (name !== 'none') this.bindDescribed(fn, name);
  }

  /**
   * What boot leaves: each function bound to the driver its description names, others to whichever matches, `none` to nothing.
   * A driver that has no id for the function gets a driver_override, as driverctl does. Throws what can't be bound.
   */
  applyInitialBindings(): void {
    if (this.started) throw new Error('the initial bindings have been applied');
    this.started = true;
    for (const fn of this.functions.values()) {
      const name = fn.plan.description.driver;
      if (name === undefined) this.attachAny(fn);
      else if (name !== 'none') this.bindInitially(fn, name);
    }
  }

  private bindInitially(fn: HostFunction, name: string): void {
    try {
      this.bindDescribed(fn, name);
    } catch (cause) {
      throw new Error(`${fn.bdf}: ${name} does not bind: ${(cause as Error).message}`, { cause });
    }
  }

  private bindDescribed(fn: HostFunction, name: string): void {
    const driver = this.drivers.get(name);
    if (!driver) refuse('ENODEV', `${fn.bdf}: no driver "${name}"${didYouMean(name, this.drivers.keys())}`);
    if (!this.matches(driver, fn)) fn.driverOverride = name;
    this.attach(driver, fn);
  }

  /** driver_attach(): every unbound match; probe errors are swallowed. */
  private attachAll(driver: PciDriver): void {
    for (const fn of this.functions.values())
      if (!fn.driver && !fn.unbinding && this.matches(driver, fn)) this.tryAttach(driver, fn);
  }

  /** device_attach(): the first registered match whose probe succeeds. */
  private attachAny(fn: HostFunction): void {
    if (fn.driver || fn.unbinding) return;
    for (const driver of this.drivers.values())
      if (this.matches(driver, fn) && this.tryAttach(driver, fn)) return;
  }

  private tryAttach(driver: PciDriver, fn: HostFunction): boolean {
    try {
      this.attach(driver, fn);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      fn.log(`${driver.name} did not take ${fn.bdf}: ${error.message}`);
      return false;
    }
  }

  /** really_probe(): DMA ownership first (fails without a trace), then the link, then probe; a failed probe takes both back. */
  private attach(driver: PciDriver, fn: HostFunction): void {
    if (!driver.managesDma) fn.iommuGroup?.useKernelDma();
    fn.driver = driver;
    this.changes.emit({ kind: 'driver-bound', function: fn, driver: driver.name });
    this.attributesChanged(fn);
    try {
      if (!canProbe(fn)) refuse('ENODEV', `VFs of ${fn.physfn!.bdf} are not probed`);
      driver.probe?.(fn);
    } catch (error) {
      fn.driver = undefined;
      if (!driver.managesDma) fn.iommuGroup?.unuseKernelDma();
      this.changes.emit({ kind: 'driver-unbound', function: fn, driver: driver.name });
      this.attributesChanged(fn);
      throw error;
    }
    this.uevents.emit({ action: 'bind', subject: { kind: 'pci', function: fn } });
  }

  /** Some wait for their driver. */
  private attributesChanged(fn: HostFunction): void {
    if (fn.attributes) this.changes.emit({ kind: 'attributes-changed', function: fn });
  }
}

/** pci_device_can_probe(). */
function canProbe(fn: HostFunction): boolean {
  return fn.physfn?.sriov?.driversAutoprobe !== false || fn.driverOverride !== null;
}

function identityOf(fn: HostFunction): Identity {
  const { shape } = fn;
  return {
    vendor: shape.vendor,
    device: shape.device,
    subvendor: shape.subsystemVendor ?? 0,
    subdevice: shape.subsystemDevice ?? 0,
    class: shape.classCode,
  };
}
