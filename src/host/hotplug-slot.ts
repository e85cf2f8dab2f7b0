/** The kernel's hot-plug controller of one port (drivers/pci/hotplug/pciehp_ctrl.c): from the bind of pcieport until its unbind. */
import { refuse } from '../abi/errno.js';
import * as pci from '../abi/pci/index.js';
import { hotplugOf, isOccupied } from './config-slot.js';
import { implementedBits } from './config-state.js';
import type { HostFunction } from './function.js';
import type { BusPlace } from './host.js';
import type { FunctionPlan } from './plan.js';
import type { HotplugControl } from './slots.js';

/** What a controller needs of the host. */
export interface HotplugHost {
  /** Takes out a function and everything below; waits for its users. */
  remove(fn: HostFunction): Promise<void>;
  /** Finds what is on `bus` and below, and not in the machine yet. */
  scan(bus: BusPlace): void;
}

const enables =
  pci.PCI_EXP_SLTCTL_ABPE |
  pci.PCI_EXP_SLTCTL_PDCE |
  pci.PCI_EXP_SLTCTL_CCIE |
  pci.PCI_EXP_SLTCTL_HPIE |
  pci.PCI_EXP_SLTCTL_DLLSCE;
/** Indicators have the same two bits, the one shifted. */
const ON = 1;
const OFF = 3;
const attentionShift = 6;
const powerShift = 8;

/** What is behind `port` has lost its power. */
function forgetRegisters(port: FunctionPlan): void {
  for (const plan of port.children) {
    plan.left.registers = undefined;
    forgetRegisters(plan);
  }
}

export class HotplugSlot implements HotplugControl {
  readonly hasAttention: boolean;
  readonly hasLatch: boolean;
  private readonly can;
  private state: 'on' | 'off' | 'powering off';

  constructor(
    private readonly port: HostFunction,
    private readonly host: HotplugHost,
  ) {
    this.can = hotplugOf(port.plan)!;
    this.hasAttention = this.can.attentionIndicator;
    this.hasLatch = this.can.latch;
    this.state = port.children.length > 0 ? 'on' : 'off';
    if (!isOccupied(port.plan)) this.setPower(false);
    const button = this.can.attentionButton ? pci.PCI_EXP_SLTCTL_ABPE : pci.PCI_EXP_SLTCTL_PDCE;
    // A port that does not report its link has no bit to enable for it.
    const capability = (register: number) => port.config.read(this.at(register), 4);
    const link = capability(pci.PCI_EXP_LNKCAP) & pci.PCI_EXP_LNKCAP_DLLLARC ? pci.PCI_EXP_SLTCTL_DLLSCE : 0;
    const commands = capability(pci.PCI_EXP_SLTCAP) & pci.PCI_EXP_SLTCAP_NCCS ? 0 : pci.PCI_EXP_SLTCTL_CCIE;
    // pcie_enable_notification()
    const wanted = link | pci.PCI_EXP_SLTCTL_HPIE | commands | button;
    this.control(enables, wanted & implementedBits(port.plan, pci.PCI_EXP_SLTCTL));
  }

  /** pciehp_check_presence(): what is in the slot is turned on. */
  checkPresence(): void {
    if (this.state === 'off' && isOccupied(this.port.plan)) this.turnOn();
  }

  /** The port's driver lets go. */
  stop(): void {
    this.control(enables, 0);
  }

  get power(): number {
    return this.read(pci.PCI_EXP_SLTCTL) & pci.PCI_EXP_SLTCTL_PCC ? 0 : 1;
  }

  get latch(): number {
    return this.read(pci.PCI_EXP_SLTSTA) & pci.PCI_EXP_SLTSTA_MRLSS ? 1 : 0;
  }

  get adapter(): number {
    return this.read(pci.PCI_EXP_SLTSTA) & pci.PCI_EXP_SLTSTA_PDS ? 1 : 0;
  }

  /** pciehp_get_attention_status() */
  get attention(): number {
    const indicator = (this.read(pci.PCI_EXP_SLTCTL) & pci.PCI_EXP_SLTCTL_AIC) >> attentionShift;
    return [0xff, 1, 2, 0][indicator]!;
  }

  /** set_attention_status(): two bits of what is written; none of them set is no command. */
  setAttention(value: number): void {
    this.indicate(attentionShift, value === 0 ? OFF : value & 3);
  }

  /** pciehp_sysfs_enable_slot(); ENODEV also for an empty slot. */
  enable(): void {
    if (this.state !== 'off') refuse('ENODEV', `slot of ${this.port.bdf}: it is ${this.state}`);
    if (!isOccupied(this.port.plan)) refuse('ENODEV', `slot of ${this.port.bdf}: no card is in it`);
    this.turnOn();
  }

  /** pciehp_sysfs_disable_slot(): unbinds and takes out everything below, then the power. */
  async disable(): Promise<void> {
    const { port } = this;
    if (this.state !== 'on') refuse('ENODEV', `slot of ${port.bdf}: it is ${this.state}`);
    this.state = 'powering off';
    try {
      // From the last to the first: VFs before their PF.
      for (let fn = port.children.at(-1); fn; fn = port.children.at(-1)) await this.host.remove(fn);
    } finally {
      this.state = 'off';
    }
    this.setPower(false);
    this.indicate(powerShift, OFF);
  }

  /** A card can't come while the slot is being emptied. */
  checkFree(): void {
    if (this.state === 'powering off') refuse('EBUSY', `slot of ${this.port.bdf}: it is being turned off`);
  }

  /** Something was pulled out. */
  cardGoes(): void {
    if (isOccupied(this.port.plan)) return;
    if (this.state === 'on') this.state = 'off';
    this.setPower(false);
    this.indicate(powerShift, OFF);
  }

  private turnOn(): void {
    this.setPower(true);
    this.state = 'on';
    const { address, bridge } = this.port;
    this.host.scan({ domain: address.domain, number: bridge!.secondary, bridge: this.port });
    this.indicate(powerShift, ON);
    this.indicate(attentionShift, OFF);
  }

  private setPower(on: boolean): void {
    if (this.can.powerController) {
      this.port.plan.slot.off = !on;
      if (!on) forgetRegisters(this.port.plan);
      this.control(pci.PCI_EXP_SLTCTL_PCC, on ? 0 : pci.PCI_EXP_SLTCTL_PCC);
    }
    this.port.registers.refreshSlot();
  }

  private indicate(shift: number, value: number): void {
    const there = shift === powerShift ? this.can.powerIndicator : this.can.attentionIndicator;
    if (there && value !== 0) this.control(3 << shift, value << shift);
  }

  private control(mask: number, value: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE((this.read(pci.PCI_EXP_SLTCTL) & ~mask) | value);
    this.port.config.poke(this.at(pci.PCI_EXP_SLTCTL), bytes);
  }

  private read(register: number): number {
    return this.port.config.read(this.at(register), 2);
  }

  private at(register: number): number {
    return this.port.config.find(pci.PCI_CAP_ID_EXP)!.offset + register;
  }
}
