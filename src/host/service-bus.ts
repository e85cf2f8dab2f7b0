/**
 * The bus pci_express: which driver has which service of a port that pcieport has, and what it turns on there (drivers/pci/pcie/portdrv.c).
 * Services of a port that nobody has looked at yet are not listed: that would make its registers.
 */
import { refuse } from '../abi/errno.js';
import * as pci from '../abi/pci/index.js';
import { hotplugOf } from './config-slot.js';
import { implementedBits } from './config-state.js';
import type { ChangeBus } from './events.js';
import { changeExpress } from './express.js';
import type { HostFunction } from './function.js';
import type { PciFunction } from './pci-function.js';
import { type PortService, portServices, type ServiceDriver } from './port-services.js';

export interface ServiceControl {
  autoprobe: boolean;
  /** Of `port`, while pcieport has it. */
  of(port: PciFunction): readonly PortService[];
  hasDriver(service: PortService): boolean;
  /** Writes to drivers/<drv>/bind: ENODEV (no match), EBUSY (bound). */
  bind(driver: string, service: PortService): void;
  /** Writes to drivers/<drv>/unbind: ENODEV when the driver does not have it. */
  unbind(driver: string, service: PortService): void;
  /** Writes to drivers_probe. */
  probe(service: PortService): void;
  /** For pcieport, when it has got `port` (pcie_port_device_register()), and before it lets go (pcie_port_device_remove()). */
  register(port: PciFunction): void;
  unregister(port: PciFunction): void;
}

/** pciehp: a slot comes and goes with it. */
export interface HotplugDriver {
  start(port: HostFunction): void;
  stop(port: HostFunction): void;
}

/** Changes 16 bits of an extended capability where the port has it. */
function changeExtended(port: PciFunction, id: number, register: number, clear: number, set: number): void {
  const capability = port.config.extended.find((row) => row.id === id);
  if (!capability || register + 2 > capability.length) return;
  const at = capability.offset + register;
  port.config.write(at, 2, (port.config.read(at, 2) & ~clear) | set);
}

type Switch = (port: HostFunction, on: boolean) => void;

/** A bit or more that the driver's probe sets, and its remove clears. */
const express =
  (register: number, bits: number): Switch =>
  (port, on) =>
    changeExpress(port, register, bits, on ? bits & implementedBits(port.plan, register) : 0);

const systemErrors = pci.PCI_EXP_RTCTL_SECEE | pci.PCI_EXP_RTCTL_SENFEE | pci.PCI_EXP_RTCTL_SEFEE;
const reports =
  pci.PCI_ERR_ROOT_CMD_COR_EN | pci.PCI_ERR_ROOT_CMD_NONFATAL_EN | pci.PCI_ERR_ROOT_CMD_FATAL_EN;
const containment = pci.PCI_EXP_DPC_CTL_EN_MASK | pci.PCI_EXP_DPC_CTL_INT_EN;
const fatalOnly = pci.PCI_EXP_DPC_CTL_EN_FATAL | pci.PCI_EXP_DPC_CTL_INT_EN;

const switches: Record<Exclude<ServiceDriver, 'pciehp'>, Switch> = {
  pcie_pme: express(pci.PCI_EXP_RTCTL, pci.PCI_EXP_RTCTL_PMEIE),
  // aer_enable_rootport(): the kernel hears of errors, and nothing else does.
  aer(port, on) {
    if (on) changeExpress(port, pci.PCI_EXP_RTCTL, systemErrors, 0);
    changeExtended(port, pci.PCI_EXT_CAP_ID_ERR, pci.PCI_ERR_ROOT_COMMAND, reports, on ? reports : 0);
  },
  dpc: (port, on) =>
    changeExtended(port, pci.PCI_EXT_CAP_ID_DPC, pci.PCI_EXP_DPC_CTL, containment, on ? fatalOnly : 0),
  pcie_bwctrl: express(pci.PCI_EXP_LNKCTL, pci.PCI_EXP_LNKCTL_LBMIE | pci.PCI_EXP_LNKCTL_LABIE),
};
export class ServiceBus implements ServiceControl {
  autoprobe = true;
  /** By port that pcieport has: names of services without a driver; `all` of them where it came while autoprobe was off. */
  private readonly ports = new Map<PciFunction, Set<string>>();

  constructor(
    private readonly changes: ChangeBus,
    private readonly hotplug: HotplugDriver,
  ) {}

  of(port: PciFunction): readonly PortService[] {
    return this.ports.has(port) ? portServices(port) : [];
  }

  hasDriver({ port, name }: PortService): boolean {
    return this.ports.get(port)?.has(name) === false;
  }

  bind(driver: string, service: PortService): void {
    if (service.driver !== driver) refuse('ENODEV', `${service.name} does not match ${driver}`);
    if (this.hasDriver(service)) refuse('EBUSY', `${service.name} is bound to ${driver}`);
    this.probe(service);
  }

  unbind(driver: string, service: PortService): void {
    if (service.driver !== driver || !this.hasDriver(service))
      refuse('ENODEV', `${service.name} is not bound to ${driver}`);
    this.ports.get(service.port)!.add(service.name);
    this.changes.emit({ kind: 'service-unbound', service });
    this.turn(service, false);
  }

  probe(service: PortService): void {
    if (this.ports.get(service.port)?.delete(service.name)) this.turn(service, true);
  }

  register(fn: PciFunction): void {
    const port = fn as HostFunction;
    const without = this.autoprobe ? [] : portServices(port).map(({ name }) => name);
    this.ports.set(port, new Set(without));
    if (!this.autoprobe) return;
    if (hotplugOf(port.plan)) this.hotplug.start(port);
    port.configure(() => this.turnOthers(port, true));
  }

  unregister(fn: PciFunction): void {
    const port = fn as HostFunction;
    if (hotplugOf(port.plan)) this.hotplug.stop(port);
    port.configure(() => this.turnOthers(port, false));
    this.ports.delete(port);
  }

  private turnOthers(port: HostFunction, on: boolean): void {
    for (const { driver } of portServices(port)) if (driver !== 'pciehp') switches[driver](port, on);
  }

  private turn({ port, driver }: PortService, on: boolean): void {
    const mine = port as HostFunction;
    if (driver !== 'pciehp') switches[driver](mine, on);
    else if (on) this.hotplug.start(mine);
    else this.hotplug.stop(mine);
  }
}
