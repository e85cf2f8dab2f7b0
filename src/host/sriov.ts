/**
 * Virtual functions coming and going (drivers/pci/iov.c): what a PF's driver does when `sriov_numvfs` is written, and what the
 * PCI core does for it.
 */
import { refuse } from '../abi/errno.js';
import * as pci from '../abi/pci/index.js';
import { devfn } from './bdf.js';
import type { ProfileDescription } from './description.js';
import { expressTypeOf } from './express.js';
import type { HostFunction } from './function.js';
import type { SriovControl } from './host.js';
import type { PciFunction } from './pci-function.js';
import type { FunctionPlan } from './plan.js';
import { planVirtual, vfAddress } from './virtual-plan.js';

/** What a PF knows of its VFs (struct pci_sriov). */
export class PhysicalFunction {
  /** By index; complete but while VFs are being made or removed. */
  readonly vfs = new Map<number, HostFunction>();
  numVfs = 0;
  driversAutoprobe = true;
  /** While there are VFs: the other PF that the capability names (Function Dependency Link). */
  dependency: PciFunction | undefined;
  /** Set while VFs are being removed, which waits for their users. */
  removal: Promise<void> | undefined;
  /** The device lock as far as numvfs needs it: settles with the last write that was let in. */
  turn: Promise<void> | undefined;

  constructor(readonly plan: FunctionPlan) {}

  get totalVfs(): number {
    return this.plan.description.sriov!.totalVfs;
  }
  get offset(): number {
    return this.plan.description.sriov!.offset;
  }
  get stride(): number {
    return this.plan.description.sriov!.stride ?? 0;
  }
  get vfDevice(): number {
    return this.plan.description.sriov!.vfDevice;
  }
  get vfBars() {
    return this.plan.vfBars.map((bar) => (bar?.lost ? undefined : bar));
  }
}

/** What making and removing functions takes. */
export interface FunctionKeeper {
  /** Puts the VF on its bus and in a group of its own where it can be isolated; nobody has probed it yet. */
  addVirtual(plan: FunctionPlan, pf: HostFunction): HostFunction;
  /** The profile that VF `index` was given; undefined: the first. */
  profileOf(pf: FunctionPlan, index: number): ProfileDescription | undefined;
  announce(fn: HostFunction): void;
  remove(fn: PciFunction): Promise<void>;
  /** The kernel's choice of a driver, when autoprobe is on. */
  probe(fn: HostFunction): void;
  /** Who has that number (device and function) on the bus of `fn` (pci_get_slot()). */
  neighbour(fn: PciFunction, devfn: number): PciFunction | undefined;
  /** VFs of `pf` have come or gone. */
  changed(pf: PciFunction): void;
  /** KOBJ_CHANGE. */
  tell(fn: PciFunction): void;
}

export class Sriov implements SriovControl {
  constructor(private readonly keeper: FunctionKeeper) {}

  setNumVfs(fn: PciFunction, count: number): void | Promise<void> {
    const pf = physical(fn);
    const most = usableVfs(fn);
    if (count > most) refuse('ERANGE', `${fn.bdf} has ${most} VFs at most`);
    if (!pf.turn) return this.takeTurn(pf, this.configure(fn, pf, count));
    return this.takeTurn(
      pf,
      // How the write before ended is its writer's business.
      pf.turn.then(
        () => this.configure(fn, pf, count),
        () => this.configure(fn, pf, count),
      ),
    );
  }

  enable(fn: PciFunction, count: number, driverOverride?: string): void {
    const pf = physical(fn);
    if (pf.numVfs > 0 || count > pf.totalVfs) refuse('EINVAL', `${fn.bdf} has ${pf.numVfs} VFs`);
    const { bus } = vfAddress(pf.plan, count - 1);
    const end = fn.parent?.bridge?.subordinate ?? 0xff;
    if (bus > end)
      refuse('ENOMEM', `VF ${count - 1} would be on bus ${bus}, and the bridge above ends at ${end}`);
    if (pf.plan.vfBars.some((bar) => bar?.lost)) refuse('ENOMEM', `${fn.bdf}: no room for the BARs of VFs`);
    pf.dependency = this.dependencyOf(fn);
    this.control(fn, pci.PCI_SRIOV_CTRL_VFE | pci.PCI_SRIOV_CTRL_MSE, count);
    for (let index = 0; index < count; index++) {
      const vf = this.keeper.addVirtual(
        planVirtual(pf.plan, index, this.keeper.profileOf(pf.plan, index)),
        fn as HostFunction,
      );
      // Before anybody else can take it (vfio_pci_bus_notifier()).
      if (driverOverride !== undefined) vf.driverOverride = driverOverride;
      pf.vfs.set(index, vf);
      this.keeper.announce(vf);
      this.keeper.tell(vf); // pci_iov_sysfs_link()
      this.keeper.probe(vf);
    }
    pf.numVfs = count;
    this.keeper.changed(fn);
    this.keeper.tell(fn);
  }

  async disable(fn: PciFunction): Promise<void> {
    const pf = physical(fn);
    if (pf.numVfs === 0) return;
    pf.removal ??= this.removeAll(fn, pf).finally(() => {
      pf.removal = undefined;
    });
    await pf.removal;
  }

  /** sriov_del_vfs(): one after the other; the links go before the driver of the VF is asked to let go. */
  private async removeAll(fn: PciFunction, pf: PhysicalFunction): Promise<void> {
    for (const [index, vf] of pf.vfs) {
      pf.vfs.delete(index);
      await this.keeper.remove(vf);
    }
    this.control(fn, 0, 0);
    pf.dependency = undefined;
    pf.numVfs = 0;
    this.keeper.changed(fn);
  }

  /** Undefined where the capability names the function itself; an integrated endpoint names another of its own device. */
  private dependencyOf(fn: PciFunction): PciFunction | undefined {
    const at = fn.config.extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_SRIOV)!.offset;
    const named = fn.config.read(at + pci.PCI_SRIOV_FUNC_LINK, 1);
    const own = devfn(fn.address);
    const link = expressTypeOf(fn) === pci.PCI_EXP_TYPE_RC_END ? (own & ~7) | (named & 7) : named;
    if (link === own) return undefined;
    const other = this.keeper.neighbour(fn, link) ?? refuse('ENODEV', `${fn.bdf} depends on nobody's VFs`);
    if (!other.sriov) refuse('ENOSYS', `${fn.bdf} depends on ${other.bdf}, which has no VFs`);
    return other;
  }

  /** sriov_numvfs_store(), with the PF locked. */
  private configure(fn: PciFunction, pf: PhysicalFunction, count: number): void | Promise<void> {
    if (count === pf.numVfs) return;
    const { driver } = fn;
    if (!driver?.sriovConfigure)
      return refuse('ENOENT', `${driver?.name ?? 'no driver'} can't configure SR-IOV`);
    if (count > 0 && pf.numVfs > 0) refuse('EBUSY', `${fn.bdf} has ${pf.numVfs} VFs: 0 has to come first`);
    return driver.sriovConfigure(fn, count);
  }

  private takeTurn(pf: PhysicalFunction, work: void | Promise<void>): void | Promise<void> {
    if (!work) return;
    const turn = work.finally(() => {
      if (pf.turn === turn) pf.turn = undefined;
    });
    pf.turn = turn;
    return turn;
  }

  /** VF Enable, VF Memory Space Enable and NumVFs; the ARI bit stays. */
  private control(fn: PciFunction, bits: number, count: number): void {
    const { config } = fn;
    const at = config.extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_SRIOV)!.offset;
    const word = (value: number) => Buffer.of(value & 0xff, value >> 8);
    const ari = config.read(at + pci.PCI_SRIOV_CTRL, 2) & pci.PCI_SRIOV_CTRL_ARI;
    config.poke(at + pci.PCI_SRIOV_CTRL, word(ari | bits));
    config.poke(at + pci.PCI_SRIOV_NUM_VF, word(count));
  }
}

/** pci_sriov_get_totalvfs(): what the device has, as far as the driver can deal with it. */
export function usableVfs({ sriov, driver }: PciFunction): number {
  const total = sriov?.totalVfs ?? 0;
  return Math.min(total, driver?.maxVfs ?? total);
}

function physical(fn: PciFunction): PhysicalFunction {
  const { sriov } = fn as HostFunction;
  if (!sriov) throw new Error(`${fn.bdf} is no physical function`);
  return sriov;
}
