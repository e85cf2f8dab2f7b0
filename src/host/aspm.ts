/**
 * Active-state power management of the links below ports, as the kernel keeps it: what both ends can do, what is on, and what sysfs has
 * turned off (drivers/pci/pcie/aspm.c). The policy is the default one: states are as firmware left them.
 */
import * as pci from '../abi/pci/index.js';
import { changeExpress, expressTypeOf, readExpress } from './express.js';
import type { PciFunction } from './pci-function.js';

/** PCIE_LINK_STATE_*. */
export const linkState = {
  L0S_UP: 0x01,
  L0S_DW: 0x02,
  L0S: 0x03,
  L1: 0x04,
  L1_1: 0x08,
  L1_2: 0x10,
  L1_1_PCIPM: 0x20,
  L1_2_PCIPM: 0x40,
} as const;

const { L0S_UP, L0S_DW, L0S, L1, L1_1, L1_2, L1_1_PCIPM, L1_2_PCIPM } = linkState;
const SUBSTATES = L1_1 | L1_2 | L1_1_PCIPM | L1_2_PCIPM;
const PCIPM = L1_1_PCIPM | L1_2_PCIPM;

/** The same four bits in the capability and control registers of the L1 PM substates. */
const substateBits = [
  [L1_2_PCIPM, pci.PCI_L1SS_CAP_PCIPM_L1_2],
  [L1_1_PCIPM, pci.PCI_L1SS_CAP_PCIPM_L1_1],
  [L1_2, pci.PCI_L1SS_CAP_ASPM_L1_2],
  [L1_1, pci.PCI_L1SS_CAP_ASPM_L1_1],
] as const;

const links = new WeakMap<PciFunction, LinkState>();

/** The link that `fn` is at the lower end of (pcie_aspm_get_link()); a VF is where its PF is. */
export function linkOf(fn: PciFunction): LinkState | undefined {
  const { parent } = fn;
  if (!parent || fn.config.find(pci.PCI_CAP_ID_EXP) === undefined) return undefined;
  const type = expressTypeOf(parent);
  if (type !== pci.PCI_EXP_TYPE_ROOT_PORT && type !== pci.PCI_EXP_TYPE_DOWNSTREAM) return undefined;
  const first = functionZero(parent);
  if (!first) return undefined;
  const known = links.get(parent);
  if (known?.downstream === first) return known;
  const link = new LinkState(parent, first);
  links.set(parent, link);
  return link;
}

/** pcie_aspm_exit_link_state(): with what is at its lower end the link goes, and sleeps no more. Whoever is found there next finds that. */
export function linkGoes(fn: PciFunction): void {
  const link = linkOf(fn);
  if (link?.downstream === fn) link.wake();
}

function functionZero(port: PciFunction): PciFunction | undefined {
  return port.children.find(({ address }) => address.function === 0);
}

const linkCapability = (fn: PciFunction): number => readExpress(fn, pci.PCI_EXP_LNKCAP, 4);
const linkControl = (fn: PciFunction): number => readExpress(fn, pci.PCI_EXP_LNKCTL, 2);

export class LinkState {
  /** States that can be turned on. */
  capable = 0;
  enabled = 0;
  private disabled = 0;
  private default = 0;
  readonly clockCapable: boolean;
  clockEnabled: boolean;
  private readonly clockDefault: boolean;
  private clockDisabled = false;

  constructor(
    readonly port: PciFunction,
    /** Function 0 of what is behind it. */
    readonly downstream: PciFunction,
  ) {
    // Functions of PCIe 1.0 are not trusted with it (pcie_aspm_sanity_check()).
    const old = this.below.some((fn) => !(readExpress(fn, pci.PCI_EXP_DEVCAP, 4) & pci.PCI_EXP_DEVCAP_RBER));
    if (old) {
      this.enabled = L0S | L1 | SUBSTATES;
      this.disabled = this.enabled;
    } else this.findStates();
    this.clockCapable = this.below.every((fn) => linkCapability(fn) & pci.PCI_EXP_LNKCAP_CLKPM);
    this.clockEnabled =
      this.clockCapable && this.below.every((fn) => linkControl(fn) & pci.PCI_EXP_LNKCTL_CLKREQ_EN);
    this.clockDefault = this.clockEnabled;
    this.clockDisabled = old;
  }

  private get below(): readonly PciFunction[] {
    return this.port.children.filter((fn) => !fn.physfn);
  }

  /** aspm_attr_store_common(): substates want L1, and L1 takes them along. */
  allow(state: number, allowed: boolean): void {
    if (allowed) {
      this.disabled &= ~state;
      if (state & SUBSTATES) this.disabled &= ~L1;
    } else {
      this.disabled |= state;
      if (state & L1) this.disabled |= SUBSTATES;
    }
    this.configure();
  }

  wake(): void {
    this.default = 0;
    this.configure();
  }

  /** clkpm_store(). */
  allowClock(allowed: boolean): void {
    this.clockDisabled = !allowed;
    const enable = this.clockCapable && !this.clockDisabled && this.clockDefault;
    if (enable === this.clockEnabled) return;
    for (const fn of this.below)
      changeExpress(
        fn,
        pci.PCI_EXP_LNKCTL,
        pci.PCI_EXP_LNKCTL_CLKREQ_EN,
        enable ? pci.PCI_EXP_LNKCTL_CLKREQ_EN : 0,
      );
    this.clockEnabled = enable;
  }

  /** pcie_aspm_cap_init(). */
  private findStates(): void {
    const { port, downstream: child } = this;
    const both = linkCapability(port) & linkCapability(child);
    if ((both & pci.PCI_EXP_LNKCAP_ASPMS) === 0) return;
    let support = both & pci.PCI_EXP_LNKCAP_ASPM_L0S ? L0S : 0;
    if (both & pci.PCI_EXP_LNKCAP_ASPM_L1) support |= L1;
    const [up, down] = [linkControl(port), linkControl(child)];
    if (down & pci.PCI_EXP_LNKCTL_ASPM_L0S) this.enabled |= L0S_UP;
    if (up & pci.PCI_EXP_LNKCTL_ASPM_L0S) this.enabled |= L0S_DW;
    if (up & down & pci.PCI_EXP_LNKCTL_ASPM_L1) this.enabled |= L1;
    const can = this.substates(pci.PCI_L1SS_CAP, true);
    const on = this.substates(pci.PCI_L1SS_CTL1, false);
    for (const [state, bit] of substateBits) {
      if (can & bit) support |= state;
      if (on & bit) this.enabled |= state;
    }
    this.default = this.enabled;
    this.capable = support;
    for (const fn of this.below) this.checkLatency(fn);
    this.configure();
  }

  /** Bits of a register of the L1 PM substates that both ends have; what they can only counts as far as they say they can at all. */
  private substates(register: number, capability: boolean): number {
    const read = (fn: PciFunction): number => {
      const at = substatesAt(fn);
      if (at === undefined) return 0;
      const can = fn.config.read(at + pci.PCI_L1SS_CAP, 4);
      if (!(can & pci.PCI_L1SS_CAP_L1_PM_SS)) return 0;
      // L1.2 by ASPM goes by thresholds that LTR messages are compared with.
      const lacking = capability && !hasLtrPath(fn) ? pci.PCI_L1SS_CAP_ASPM_L1_2 : 0;
      return fn.config.read(at + register, 4) & ~lacking;
    };
    return read(this.port) & read(this.downstream);
  }

  /** pcie_aspm_check_latency(): what takes longer than the endpoint can wait is not for its links. */
  private checkLatency(endpoint: PciFunction): void {
    const type = expressTypeOf(endpoint);
    if (type !== pci.PCI_EXP_TYPE_ENDPOINT && type !== pci.PCI_EXP_TYPE_LEG_END) return;
    const capability = readExpress(endpoint, pci.PCI_EXP_DEVCAP, 4);
    const l0s = acceptable((capability & pci.PCI_EXP_DEVCAP_L0S) >> 6, 64);
    const l1 = acceptable((capability & pci.PCI_EXP_DEVCAP_L1) >> 9, 1000);
    let switches = 0;
    for (let link: LinkState | undefined = this; link; link = linkAbove(link)) {
      const [up, down] = [linkCapability(link.port), linkCapability(link.downstream)];
      if (exitL0s(up) > l0s) link.capable &= ~L0S_UP;
      if (exitL0s(down) > l0s) link.capable &= ~L0S_DW;
      if (Math.max(exitL1(up), exitL1(down)) + switches > l1) link.capable &= ~L1;
      // Each switch on the way takes a microsecond more.
      switches += 1000;
    }
  }

  /** pcie_config_aspm_link(). */
  private configure(): void {
    const { port, downstream } = this;
    let state = this.default & this.capable & ~this.disabled;
    if (!(state & L1)) state &= ~SUBSTATES;
    // Both ends in D0, or those of PCI PM stay as they are.
    if (!isAwake(port) || !isAwake(downstream)) state = (state & ~PCIPM) | (this.enabled & PCIPM);
    if (state === this.enabled) return;
    const l1 = state & L1 ? pci.PCI_EXP_LNKCTL_ASPM_L1 : 0;
    const up = l1 | (state & L0S_DW ? pci.PCI_EXP_LNKCTL_ASPM_L0S : 0);
    const down = l1 | (state & L0S_UP ? pci.PCI_EXP_LNKCTL_ASPM_L0S : 0);
    const set = (fn: PciFunction, bits: number) =>
      changeExpress(fn, pci.PCI_EXP_LNKCTL, pci.PCI_EXP_LNKCTL_ASPMC, bits);
    for (const fn of this.below) set(fn, 0);
    set(port, 0);
    if (this.capable & SUBSTATES) this.configureSubstates(state);
    set(port, up);
    for (const fn of this.below) set(fn, down);
    this.enabled = state;
  }

  private configureSubstates(state: number): void {
    const bits = substateBits.reduce((all, [one, bit]) => (state & one ? all | bit : all), 0);
    for (const fn of [this.port, this.downstream]) {
      const at = substatesAt(fn)! + pci.PCI_L1SS_CTL1;
      const rest = fn.config.read(at, 4) & ~pci.PCI_L1SS_CTL1_L1SS_MASK;
      fn.config.write(at, 4, (rest | bits) >>> 0);
    }
  }
}

function substatesAt(fn: PciFunction): number | undefined {
  return fn.config.extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_L1SS)?.offset;
}

/** pci_configure_ltr(): every function on the way to the root has LTR on. */
function hasLtrPath(fn: PciFunction): boolean {
  for (let up: PciFunction | undefined = fn; up; up = up.parent)
    if (!(readExpress(up, pci.PCI_EXP_DEVCTL2, 2) & pci.PCI_EXP_DEVCTL2_LTR_EN)) return false;
  return true;
}

function linkAbove({ port }: LinkState): LinkState | undefined {
  return port.parent ? linkOf(port.parent) : undefined;
}

function isAwake(fn: PciFunction): boolean {
  const pm = fn.config.find(pci.PCI_CAP_ID_PM);
  return !pm || (fn.config.read(pm.offset + pci.PCI_PM_CTRL, 2) & pci.PCI_PM_CTRL_STATE_MASK) === 0;
}

/** Encodings are powers of two of a unit in nanoseconds; 7 is no limit, or beyond what they can say. */
const acceptable = (encoding: number, unit: number): number =>
  encoding === 7 ? Number.POSITIVE_INFINITY : unit * 2 ** encoding;
const exitL0s = (capability: number): number => {
  const encoding = (capability & pci.PCI_EXP_LNKCAP_L0SEL) >> 12;
  return encoding === 7 ? 5000 : 64 * 2 ** encoding;
};
const exitL1 = (capability: number): number => {
  const encoding = (capability & pci.PCI_EXP_LNKCAP_L1EL) >>> 15;
  return encoding === 7 ? 65_000 : 1000 * 2 ** encoding;
};
