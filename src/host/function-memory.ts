/** The BARs of one function and the memory behind them, which comes to be when first asked for. */
import type { BarSpec } from '../devices/contract.js';
import { BarHome } from './bar-home.js';
import type { HostFunction } from './function.js';
import { largestBar, type PageProvider, type Pages, REGION_SHIFT } from './pages.js';
import type { Bar } from './pci-function.js';
import type { BarPlan } from './plan.js';

/** Filling a BAR makes its pages: not of one that is large and mostly untouched. */
const largestEmptied = 16 * 2 ** 20;

export class FunctionMemory {
  private ownPages: Pages | undefined;
  private readonly homes = new Map<number, BarHome>();
  private destroyed = false;

  constructor(
    private readonly fn: HostFunction,
    private readonly provider: PageProvider,
  ) {}

  /** undefined for functions without memory BARs. */
  get pages(): Pages | undefined {
    const { fn } = this;
    if (!fn.bars.some((bar) => bar && bar.kind !== 'io')) return undefined;
    fn.startModel();
    return this.rawPages();
  }

  /** Behind BAR `index`, mapped on first use and never moved; whole pages behind a smaller BAR, too. Starts no model. */
  of(index: number): Buffer {
    return this.home(index).view(this.fn.bars[index]!.size);
  }

  home(index: number): BarHome {
    const { fn } = this;
    const bar = fn.bars[index];
    if (!bar || bar.kind === 'io') throw new Error(`${fn.bdf}: BAR ${index} is no memory BAR`);
    let home = this.homes.get(index);
    if (!home) {
      const place = fn.pagesBase + index * 2 ** Number(REGION_SHIFT);
      const makeOwn = () => this.provider.create(`vfiofs ${fn.bdf} BAR${index}`);
      // As large as the BAR can become.
      const largest = Math.max(...(bar.sizes ?? []).filter((size) => size <= largestBar), bar.size);
      home = new BarHome(largest, this.rawPages(), place, makeOwn);
      this.homes.set(index, home);
    }
    return home;
  }

  get lent(): boolean {
    for (const home of this.homes.values()) if (home.inUse) return true;
    return false;
  }

  /** Somebody has one of its files open or mapped, as far as can be told: `alone`, when nobody uses another function of its group. */
  inUse(alone: boolean): boolean {
    const pages = this.fn.iommuGroup?.pages ?? this.ownPages;
    return this.lent || (alone && pages?.shared === true);
  }

  /** All of it is zero, and nothing is there until it is asked for again. Nobody uses it. */
  clear(): void {
    for (const home of this.homes.values()) home.discard();
    this.homes.clear();
  }

  /** What reads it by a mapping gets the ones of an empty bus, as far as anybody has touched it and it is no huge BAR. */
  vanish(): void {
    for (const { memory } of this.homes.values()) if (memory.length <= largestEmptied) memory.fill(0xff);
  }

  /** Whoever kept the function gets an error from now on, not memory that is no longer mapped. Pages of a group stay until it goes. */
  destroy(): void {
    this.destroyed = true;
    for (const home of this.homes.values()) home.release();
    this.homes.clear();
    this.ownPages?.release();
    this.ownPages = undefined;
  }

  /** Grouped functions share the group's file; one without a group (or in a no-IOMMU group, which comes and goes) has its own. */
  private rawPages(): Pages {
    const { fn, provider } = this;
    if (this.destroyed) throw new Error(`${fn.bdf} has left the machine`);
    if (fn.plan.group === undefined) {
      this.ownPages ??= provider.create(`vfiofs ${fn.bdf}`);
      return this.ownPages;
    }
    const group = fn.iommuGroup!;
    group.pages ??= provider.create(`vfiofs group ${group.id}`);
    return group.pages;
  }
}

export class HostBar implements Bar {
  readonly index: number;
  readonly kind: BarSpec['kind'];
  readonly prefetchable: boolean;

  constructor(
    private readonly plan: BarPlan,
    private readonly fn: HostFunction,
  ) {
    this.index = plan.index;
    this.kind = plan.kind;
    this.prefetchable = plan.prefetchable ?? false;
  }

  get sizes(): readonly number[] | undefined {
    return this.plan.sizes;
  }
  /** Both change when the BAR is resized. */
  get size(): number {
    return this.plan.size;
  }
  get address(): bigint {
    return this.plan.address;
  }

  get home(): BarHome | undefined {
    if (this.kind === 'io') return undefined;
    this.fn.startModel();
    return this.fn.memory.home(this.index);
  }
  get memory(): Buffer | undefined {
    return this.home?.view(this.size);
  }
}
