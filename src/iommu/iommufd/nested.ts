/** A guest's page table on top of a HWPT (struct iommufd_hwpt_nested; Intel's driver, drivers/iommu/intel/nested.c). */
import { VtdS1Flag } from '../../abi/iommufd/index.js';
import { andThen, type MaybeAsync } from '../../vfs/caller.js';
import type { Access, Piece, Translation } from '../contract.js';
import { LAST_ADDRESS, PAGE_SIZE } from '../range.js';
import { type FirstStageTable, type Page, walk } from './first-stage.js';
import { HwPagetable } from './hw-pagetable.js';
import type { Hwpt } from './hwpt.js';

/** IOMMU_HWPT_DATA_VTD_S1 as handed in; looked at when a device is attached. */
export interface VtdS1 {
  readonly flags: bigint;
  readonly root: bigint;
  readonly addressWidth: number;
}

/** Entries of the IOTLB, per page size. */
const MOST_PAGES = 512;
const SHIFTS = [12, 21, 30] as const;

export class NestedHwpt extends HwPagetable {
  readonly kind = 'nested';
  /** What hardware remembers of the guest's table, until it is told to forget. By page number, for each page size. */
  private readonly cache = new Map<Page['shift'], Map<bigint, Page>>(
    SHIFTS.map((shift) => [shift, new Map()]),
  );
  private readonly table: FirstStageTable;

  constructor(
    id: number,
    readonly paging: Hwpt,
    pasidCompatible: boolean,
    readonly config: VtdS1,
    gigabytePages: boolean,
  ) {
    super(id, pasidCompatible);
    paging.users++;
    const levels = config.addressWidth === 57 ? 5 : 4;
    const extendedAccess = (config.flags & VtdS1Flag.EAFE) !== 0n;
    this.table = { parent: paging, root: config.root, levels, gigabytePages, extendedAccess };
  }

  override destroy(): void {
    this.paging.users--;
    super.destroy();
  }

  /** Both stages. The second is looked at each time: its own changes take effect at once, as the kernel flushes for them. */
  translate(iova: bigint, length: number, access: Access): MaybeAsync<Translation> {
    const pieces: Piece[] = [];
    const from = (at: bigint, left: number): MaybeAsync<Translation> => {
      if (left === 0) return { ok: true, pieces };
      return andThen(this.lookUp(at, access), (found): MaybeAsync<Translation> => {
        if ('fault' in found) return { ok: false, iova: at, ...found.fault };
        const { address, shift } = found.page;
        const size = 1n << BigInt(shift);
        const offset = at & (size - 1n);
        const bytes = size - offset < BigInt(left) ? Number(size - offset) : left;
        const second = this.paging.translate(address + offset, bytes, access);
        if (!second.ok) return { ok: false, iova: at, reason: second.reason, final: true };
        if (access === 'write') this.paging.dirtied(address + offset, bytes);
        for (const piece of second.pieces) pieces.push({ ...piece });
        return from(at + BigInt(bytes), left - bytes);
      });
    };
    return from(iova, length);
  }

  /** The second stage was told in translate(), by its own addresses. */
  dirtied(): void {}

  forget(): void {
    for (const pages of this.cache.values()) pages.clear();
  }

  /** Forgets `npages` pages of 4 KiB from `address` on, or all. */
  invalidate(address: bigint, npages: bigint): void {
    const everything = npages === LAST_ADDRESS;
    // Nothing smaller than a page can be named to hardware.
    const last = everything ? LAST_ADDRESS : address + (npages === 0n ? 1n : npages) * PAGE_SIZE - 1n;
    for (const [shift, pages] of this.cache) {
      const [first, end] = [address >> BigInt(shift), last >> BigInt(shift)];
      if (end - first < BigInt(pages.size)) for (let page = first; page <= end; page++) pages.delete(page);
      else for (const page of [...pages.keys()]) if (page >= first && page <= end) pages.delete(page);
    }
  }

  private lookUp(iova: bigint, access: Access): ReturnType<typeof walk> {
    for (const [shift, pages] of this.cache) {
      const page = pages.get(iova >> BigInt(shift));
      // A right that is missing, or a dirty bit still to be set, is looked up anew: hardware remembers no refusals.
      if (page && (access === 'read' || (page.writable && page.dirty))) return { page };
    }
    return andThen(walk(this.table, iova, access), (found) => {
      if ('page' in found) this.remember(iova, found.page);
      return found;
    });
  }

  private remember(iova: bigint, page: Page): void {
    const pages = this.cache.get(page.shift)!;
    const number = iova >> BigInt(page.shift);
    pages.delete(number);
    if (pages.size >= MOST_PAGES) for (const oldest of pages.keys()) if (pages.delete(oldest)) break;
    pages.set(number, page);
  }
}
