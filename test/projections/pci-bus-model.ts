/**
 * What Documentation/ABI/testing/sysfs-bus-pci promises about binding, as simply as it can be said: lists and loops, no objects of the
 * implementation, no caches. random-writes.test.ts compares the tree with it.
 */
export interface ModelFunction {
  readonly bdf: string;
  readonly vendor: number;
  readonly device: number;
  readonly class: number;
  readonly group: number;
  readonly parent?: string;
  readonly bridge?: boolean;
  /** It has MSI or MSI-X. */
  readonly messages?: boolean;
}

export interface ModelDriver {
  readonly name: string;
  readonly static: readonly { vendor?: number; device?: number; class?: number }[];
  /** It enables its functions and takes their messages. */
  readonly enables: boolean;
}

interface State {
  readonly fn: ModelFunction;
  override: string | null;
  driver: string | null;
  /** A bridge that was off when somebody below was enabled: it was enabled with it, and stays so. */
  enabledFromBelow: number;
}
interface DynamicId {
  readonly driver: string;
  readonly vendor: number;
  readonly device: number;
}

export class PciBusModel {
  autoprobe = true;
  readonly present: State[] = [];
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
    state.driver = null;
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

  remove(bdf: string): undefined {
    for (const child of this.present.filter(({ fn }) => fn.parent === bdf)) this.remove(child.fn.bdf);
    this.present.splice(this.present.indexOf(this.find(bdf)!), 1);
    return undefined;
  }

  rescan(): undefined {
    const found = this.all.filter(({ bdf }) => !this.find(bdf));
    for (const fn of found) this.present.push({ fn, override: null, driver: null, enabledFromBelow: 0 });
    this.present.sort((a, b) => (a.fn.bdf < b.fn.bdf ? -1 : 1));
    if (this.autoprobe) for (const fn of found) this.attachAny(this.find(fn.bdf)!);
    return undefined;
  }

  enables(state: State): boolean {
    return state.driver !== null && this.driver(state.driver).enables;
  }

  enableCount(state: State): number {
    return Number(this.enables(state)) + state.enabledFromBelow;
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
    if (driver === 'vfio-pci' && state.fn.bridge) return 'EINVAL';
    if (driver === 'pcieport' && !state.fn.bridge) return 'ENODEV';
    state.driver = driver;
    const above = state.fn.parent === undefined ? undefined : this.find(state.fn.parent);
    if (above && this.enables(state) && this.enableCount(above) === 0) above.enabledFromBelow = 1;
    return undefined;
  }

  private attachAny(state: State): void {
    for (const { name } of this.drivers)
      if (!state.driver && this.matches(name, state)) this.attach(name, state);
  }
}
