/** Physical slots by name (drivers/pci/slot.c): those that firmware knows of, and those that a hot-plug driver looks after. */
import { refuse } from '../abi/errno.js';
import { hasSlot, slotNumber } from './config-slot.js';
import type { ChangeBus, KobjectEvent } from './events.js';
import type { HostFunction } from './function.js';
import { type HotplugHost, HotplugSlot } from './hotplug-slot.js';
import type { PciFunction } from './pci-function.js';

/** What sysfs shows of a hot-plug slot and lets be written; numbers as in the files. */
export interface HotplugControl {
  readonly hasAttention: boolean;
  readonly hasLatch: boolean;
  readonly power: number;
  readonly attention: number;
  readonly latch: number;
  readonly adapter: number;
  setAttention(value: number): void;
  enable(): void;
  disable(): Promise<void>;
}

export interface PciSlot {
  readonly name: string;
  readonly domain: number;
  readonly bus: number;
  /** undefined: all of the bus (PCI_SLOT_ALL_DEVICES). */
  readonly device: number | undefined;
  /** The bridge above; undefined on a root bus. */
  readonly bridge: PciFunction | undefined;
  readonly hotplug: HotplugControl | undefined;
  /** Its driver's module had a directory when it came: not yet at boot, where code is built in (pci_hp_create_module_link()). */
  readonly hasModule: boolean;
}

/** Link and presence, of ports that have a slot. */
function refreshSlot(port: HostFunction): void {
  if (hasSlot(port.plan)) port.registers.refreshSlot();
}

export class Slots {
  /** Modules of built-in code have their directories. */
  booted = false;
  readonly byName = new Map<string, PciSlot>();
  private readonly controllers = new Map<HostFunction, { slot: PciSlot; controller: HotplugSlot }>();

  constructor(
    private readonly host: HotplugHost,
    private readonly changes: ChangeBus,
    private readonly uevents: ChangeBus<KobjectEvent>,
  ) {}

  /** Whether a card can be put behind `port` now: EBUSY, ENODEV. */
  checkFree(port: HostFunction | undefined): void {
    if (!port) return;
    const controller = this.controllers.get(port)?.controller;
    if (controller) controller.checkFree();
    else if (port.plan.slot.off) refuse('ENODEV', `the slot of ${port.bdf} is off, and nobody turns it on`);
  }

  /** A card stands behind `port` now: a slot that is off is turned on. */
  cardComes(port: HostFunction | undefined): void {
    if (port) this.controllers.get(port)?.controller.checkPresence();
    if (port) refreshSlot(port);
  }

  /** A function behind `port` was pulled out. */
  cardGoes(port: HostFunction | undefined): void {
    if (!port?.present) return;
    this.controllers.get(port)?.controller.cardGoes();
    refreshSlot(port);
  }

  /** acpi_pci_slot_enumerate(): a slot of firmware is there as soon as its bus is. */
  found({ plan, parent }: HostFunction): void {
    const { domain, bus, device } = plan.address;
    const { slot } = plan.description;
    if (slot === undefined) return;
    for (const other of this.byName.values())
      if (other.domain === domain && other.bus === bus && other.device === device) return;
    this.add({
      name: String(slot),
      domain,
      bus,
      device,
      bridge: parent,
      hotplug: undefined,
      hasModule: false,
    });
  }

  /** The bus behind `bridge` goes, and its slots with it. */
  busGone(bridge: HostFunction): void {
    for (const slot of [...this.byName.values()]) if (slot.bridge === bridge) this.drop(slot);
  }

  /** pciehp_probe() */
  start(port: HostFunction): void {
    const controller = new HotplugSlot(port, this.host);
    const slot = this.add({
      name: String(slotNumber(port.plan)),
      domain: port.address.domain,
      bus: port.bridge!.secondary,
      device: undefined,
      bridge: port,
      hotplug: controller,
      hasModule: this.booted,
    });
    this.controllers.set(port, { slot, controller });
    this.uevents.emit({ action: 'add', subject: { kind: 'slot', name: slot.name } });
    controller.checkPresence();
  }

  /** pciehp_remove() */
  stop(port: HostFunction): void {
    const known = this.controllers.get(port);
    if (!known) return;
    this.controllers.delete(port);
    known.controller.stop();
    this.drop(known.slot);
    this.uevents.emit({ action: 'remove', subject: { kind: 'slot', name: known.slot.name } });
  }

  /** make_slot_name(): a name that is taken gets `-1`, `-2`, … */
  private add(wanted: PciSlot): PciSlot {
    let { name } = wanted;
    for (let i = 1; this.byName.has(name); i++) name = `${wanted.name}-${i}`;
    const slot = { ...wanted, name };
    this.byName.set(name, slot);
    return slot;
  }

  private drop(slot: PciSlot): void {
    if (this.byName.get(slot.name) !== slot) return;
    this.byName.delete(slot.name);
    this.changes.emit({ kind: 'slot-removed', name: slot.name });
  }
}
