/**
 * What Documentation/ABI/testing/sysfs-bus-pci promises about binding, removing and virtual functions, as simply as it can be said: lists
 * and loops, no objects of the implementation, no caches. random-writes.test.ts compares the tree with it.
 */
export interface ModelFunction {
  readonly bdf: string;
  readonly vendor: number;
  readonly device: number;
  readonly class: number;
  /** VFs: the lowest number that nobody has. */
  readonly group?: number;
  readonly parent?: string;
  readonly bridge?: { readonly bus: string; readonly services: Readonly<Record<string, string>> };
  /** It has MSI or MSI-X. */
  readonly messages?: boolean;
  /** What it can have of VFs, in the order of their indexes. */
  readonly vfs?: readonly ModelFunction[];
}

export interface ModelDriver {
  readonly name: string;
  readonly static: readonly { vendor?: number; device?: number; class?: number }[];
  /** It enables its functions and takes their messages. */
  readonly enables: boolean;
  readonly sriov?: 'removes-vfs' | 'leaves-vfs';
}

export interface State {
  readonly fn: ModelFunction;
  readonly group: number;
  readonly physfn: State | undefined;
  override: string | null;
  driver: string | null;
  /** A bridge that was off when somebody below was enabled: it was enabled with it, and stays so. */
  enabledFromBelow: number;
  /** N of vfioN. */
  vfio: number | undefined;
  vfs: State[];
  vfAutoprobe: boolean;
}
interface DynamicId {
  readonly driver: string;
  readonly vendor: number;
  readonly device: number;
}

function lowestFree(taken: readonly (number | undefined)[]): number {
  let number = 0;
  while (taken.includes(number)) number++;
  return number;
}

export class PciBusModel {
  autoprobe = true;
  present: State[] = [];
  /** Groups with a node in /dev/vfio, by its minor. */
  readonly vfioGroups = new Map<number, number>();
  private dynamic: DynamicId[] = [];

  constructor(
    private readonly all: readonly ModelFunction[],
    readonly drivers: readonly ModelDriver[],
  ) {
    this.rescan();
  }

  find(bdf: string): State | undefined {
    return this.present.find(({ fn }) => fn.bdf === bdf);
  }

  setAutoprobe(on: boolean): undefined {
    this.autoprobe = on;
    return undefined;
  }

  /** Each operation answers with the errno of the write, or undefined. */
  bind(driver: string, bdf: string): string | undefined {
    const state = this.find(bdf);
    if (!state || !this.matches(driver, state)) return 'ENODEV';
    if (state.driver) return 'EBUSY';
    return this.attach(driver, state);
  }

  unbind(driver: string, bdf: string): string | undefined {
    const state = this.find(bdf);
    if (state?.driver !== driver) return 'ENODEV';
    this.detach(state);
    return undefined;
  }

  override(bdf: string, text: string): string | undefined {
    const name = text.split('\0')[0]!.split('\n')[0]!;
    this.find(bdf)!.override = name === '' ? null : name;
    return undefined;
  }

  probe(bdf: string): string | undefined {
    const state = this.find(bdf);
    if (!state) return 'ENODEV';
    this.attachAny(state);
    return undefined;
  }

  newId(driver: string, vendor: number, device: number): string | undefined {
    const known =
      this.dynamic.some((id) => id.driver === driver && id.vendor === vendor && id.device === device) ||
      this.driver(driver).static.some(
        (id) => id.class === undefined && id.vendor === vendor && id.device === device,
      );
    if (known) return 'EEXIST';
    this.dynamic.push({ driver, vendor, device });
    for (const state of this.present)
      if (!state.driver && this.matches(driver, state)) this.attach(driver, state);
    return undefined;
  }

  removeId(driver: string, vendor: number, device: number): string | undefined {
    const same = (id: DynamicId) => id.driver === driver && id.vendor === vendor && id.device === device;
    if (!this.dynamic.some(same)) return 'ENODEV';
    this.dynamic = this.dynamic.filter((id) => !same(id));
    return undefined;
  }

  /** VFs go with their PF, and what is below a bridge with it. */
  remove(bdf: string): undefined {
    for (const child of this.present.filter(({ fn }) => fn.parent === bdf)) this.remove(child.fn.bdf);
    const state = this.find(bdf)!;
    this.detach(state);
    this.setVfs(state, 0);
    this.present = this.present.filter((other) => other !== state);
    return undefined;
  }

  /** Of everything, of a root bus `pciDDDD:BB` and all below, or of what is behind a bridge. */
  rescan(where?: string): undefined {
    const isThere = (fn: ModelFunction) =>
      where === undefined || fn.parent === where || this.rootOf(fn) === where;
    const found: State[] = [];
    for (const fn of this.all)
      if (!this.find(fn.bdf) && isThere(fn) && (fn.parent === undefined || this.find(fn.parent)))
        found.push(this.add(fn, fn.group!));
    if (this.autoprobe) for (const state of found) this.attachAny(state);
    return undefined;
  }

  setNumVfs(bdf: string, text: string): string | undefined {
    const pf = this.find(bdf)!;
    if (!/^\d+\n?$/.test(text) || Number(text) > 65535) return 'EINVAL';
    const count = Number(text);
    if (count > pf.fn.vfs!.length) return 'ERANGE';
    if (count === pf.vfs.length) return undefined;
    if (pf.driver === null || !this.driver(pf.driver).sriov) return 'ENOENT';
    if (count > 0 && pf.vfs.length > 0) return 'EBUSY';
    this.setVfs(pf, count);
    return undefined;
  }

  setVfAutoprobe(bdf: string, on: boolean): undefined {
    this.find(bdf)!.vfAutoprobe = on;
    return undefined;
  }

  enables(state: State): boolean {
    return state.driver !== null && this.driver(state.driver).enables;
  }

  enableCount(state: State): number {
    return Number(this.enables(state)) + state.enabledFromBelow;
  }

  rootOf({ bdf, parent }: ModelFunction): string {
    return `pci${(parent ?? bdf).slice(0, 7)}`;
  }

  private add(fn: ModelFunction, group: number, physfn?: State): State {
    const state: State = {
      ...{ fn, group, physfn, override: null, driver: null, enabledFromBelow: 0 },
      ...{ vfio: undefined, vfs: [], vfAutoprobe: true },
    };
    this.present.push(state);
    this.present.sort((a, b) => (a.fn.bdf < b.fn.bdf ? -1 : 1));
    return state;
  }

  private setVfs(pf: State, count: number): void {
    for (const vf of pf.vfs) {
      this.detach(vf);
      this.present = this.present.filter((other) => other !== vf);
    }
    pf.vfs = [];
    for (const vf of pf.fn.vfs?.slice(0, count) ?? []) {
      // A function that was removed keeps its number.
      const taken = [...this.all, ...this.present].map(({ group }) => group);
      const state = this.add(vf, lowestFree(taken), pf);
      pf.vfs.push(state);
      if (this.autoprobe) this.attachAny(state);
    }
  }

  private driver(name: string): ModelDriver {
    return this.drivers.find((driver) => driver.name === name)!;
  }

  private matches(driver: string, { fn, override }: State): boolean {
    if (override !== null) return override === driver;
    const listed = this.driver(driver).static.some(
      (id) =>
        (id.vendor ?? fn.vendor) === fn.vendor &&
        (id.device ?? fn.device) === fn.device &&
        (id.class ?? fn.class) === fn.class,
    );
    return (
      listed ||
      this.dynamic.some((id) => id.driver === driver && id.vendor === fn.vendor && id.device === fn.device)
    );
  }

  private attach(driver: string, state: State): string | undefined {
    if (state.physfn?.vfAutoprobe === false && state.override === null) return 'ENODEV';
    if (driver === 'vfio-pci' && state.fn.bridge) return 'EINVAL';
    if (driver === 'vfio-pci' && state.vfs.length > 0) return 'EBUSY';
    if (driver === 'pcieport' && !state.fn.bridge) return 'ENODEV';
    state.driver = driver;
    if (driver === 'vfio-pci') {
      state.vfio = lowestFree(this.present.map(({ vfio }) => vfio));
      if (![...this.vfioGroups.values()].includes(state.group))
        this.vfioGroups.set(lowestFree([...this.vfioGroups.keys()]), state.group);
    }
    const above = state.fn.parent === undefined ? undefined : this.find(state.fn.parent);
    if (above && this.enables(state) && this.enableCount(above) === 0) above.enabledFromBelow = 1;
    return undefined;
  }

  private detach(state: State): void {
    const removes = state.driver !== null && this.driver(state.driver).sriov === 'removes-vfs';
    state.driver = null;
    state.vfio = undefined;
    for (const [minor, group] of this.vfioGroups)
      if (!this.present.some((other) => other.group === group && other.vfio !== undefined))
        this.vfioGroups.delete(minor);
    if (removes) this.setVfs(state, 0);
  }

  private attachAny(state: State): void {
    for (const { name } of this.drivers)
      if (!state.driver && this.matches(name, state)) this.attach(name, state);
  }
}
