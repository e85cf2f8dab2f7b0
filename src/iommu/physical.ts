/**
 * Physical addresses as IOVAs, for devices without an IOMMU: an address is good where it lies in a page that is present in one of the
 * client processes. That is less than what such a device reaches in a real machine, which is all there is.
 */
import { KernelError } from '../abi/errno.js';
import type { ClientProcess, MaybeAsync, PinnedRange, Stretch } from '../vfs/caller.js';
import type { Access, DmaSpace, Piece, Translation } from './contract.js';
import { hex, PAGE_SIZE } from './range.js';

/** A stretch of a client's memory, pinned when DMA first goes there. */
class Place {
  private readonly pins = new Map<Access, PinnedRange>();
  private dropped = false;

  constructor(
    readonly process: ClientProcess,
    readonly stretch: Stretch,
  ) {}

  pin(access: Access): PinnedRange | undefined {
    return this.pins.get(access);
  }

  async hold(access: Access): Promise<void> {
    if (this.pins.has(access)) return;
    const { vaddr, frames } = this.stretch;
    const write = access === 'write';
    const pin = await this.process.pin(vaddr, BigInt(frames.length) * PAGE_SIZE, { read: !write, write });
    if (this.dropped || this.pins.has(access)) pin.release();
    else this.pins.set(access, pin);
  }

  drop(): void {
    this.dropped = true;
    for (const pin of this.pins.values()) pin.release();
    this.pins.clear();
  }

  same({ process, stretch }: Place): boolean {
    const { vaddr, frames, writable } = this.stretch;
    return (
      process === this.process &&
      stretch.vaddr === vaddr &&
      stretch.writable === writable &&
      stretch.frames.length === frames.length &&
      stretch.frames.every((frame, i) => frame === frames[i])
    );
  }
}

/** Consecutive frames that are consecutive pages of one place. */
interface Run {
  readonly frame: number;
  pages: number;
  readonly place: Place;
  /** Page of the place that `frame` is. */
  readonly page: number;
}

/** Part of a DMA. */
interface Part {
  readonly place: Place;
  readonly offset: bigint;
  readonly length: number;
}

export class PhysicalSpace implements DmaSpace {
  private readonly processes = new Map<ClientProcess, () => void>();
  private places: Place[] = [];
  /** By frame. What it says may be old: it is checked against the pagemap each time, and made anew when it is wrong. */
  private runs: Run[] = [];

  /** Its memory may be reached from now on, until it exits. */
  admit(process: ClientProcess): void {
    if (this.processes.has(process)) return;
    this.processes.set(
      process,
      process.retain(() => {
        this.processes.delete(process);
        this.index(this.places.filter((place) => place.process !== process));
      }),
    );
  }

  translate(address: bigint, length: number, access: Access): MaybeAsync<Translation> {
    if (length === 0) return { ok: true, pieces: [] };
    const pieces = this.pieces(this.find(address, length, access), access);
    return pieces ? { ok: true, pieces } : this.look(address, length, access);
  }

  dirtied(): void {}

  release(): void {
    for (const forget of this.processes.values()) forget();
    this.processes.clear();
    this.index([]);
  }

  private async look(address: bigint, length: number, access: Access): Promise<Translation> {
    const failed = (reason: string): Translation => ({ ok: false, iova: address, reason });
    try {
      for (const again of [true, false]) {
        let parts = this.find(address, length, access);
        if (!parts) {
          this.scan();
          parts = this.find(address, length, access);
        }
        if (!parts) break;
        for (const { place } of parts) await place.hold(access);
        // Pinning for writing may have moved a page that was shared until then.
        const pieces = this.pieces(this.find(address, length, access), access);
        if (pieces) return { ok: true, pieces };
        if (!again) break;
      }
    } catch (error) {
      if (error instanceof KernelError) return failed(error.reason);
      throw error;
    }
    return failed(`${hex(address)} is no present page that the client may ${access}`);
  }

  private pieces(parts: readonly Part[] | undefined, access: Access): Piece[] | undefined {
    const pieces: Piece[] = [];
    for (const { place, offset, length } of parts ?? []) {
      const range = place.pin(access);
      if (!range) return undefined;
      pieces.push({ range, offset, length });
    }
    return parts && pieces;
  }

  /** Where [address, address + length) lies now; undefined where the index does not know, or what it knows is no longer so. */
  private find(address: bigint, length: number, access: Access): Part[] | undefined {
    const parts: Part[] = [];
    for (let at = address, left = length; left > 0; ) {
      const frame = Number(at / PAGE_SIZE);
      const within = at % PAGE_SIZE;
      const run = this.runOf(frame);
      if (!run || (access === 'write' && !run.place.stretch.writable)) return undefined;
      const skipped = frame - run.frame;
      const pages = Math.min(run.pages - skipped, Math.ceil((Number(within) + left) / Number(PAGE_SIZE)));
      const offset = BigInt(run.page + skipped) * PAGE_SIZE;
      const now = run.place.process.frames.at(run.place.stretch.vaddr + offset, pages);
      if (now.some((value, i) => value !== frame + i)) return undefined;
      const taken = Math.min(left, pages * Number(PAGE_SIZE) - Number(within));
      parts.push({ place: run.place, offset: offset + within, length: taken });
      at += BigInt(taken);
      left -= taken;
    }
    return parts;
  }

  private runOf(frame: number): Run | undefined {
    let [low, high] = [0, this.runs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.runs[middle]!.frame <= frame) low = middle + 1;
      else high = middle;
    }
    const run = this.runs[low - 1];
    return run && frame < run.frame + run.pages ? run : undefined;
  }

  /** Reads all pagemaps. Places that are as before keep their pins: DMA may be under way there. */
  private scan(): void {
    const key = ({ process, stretch }: Place): string => `${process.pid} ${stretch.vaddr}`;
    const known = new Map(this.places.map((place) => [key(place), place]));
    const alive = [...this.processes.keys()].filter((process) => process.alive);
    const found = alive.flatMap((process) =>
      process.frames.stretches().map((stretch) => new Place(process, stretch)),
    );
    this.index(
      found.map((place) => {
        const before = known.get(key(place));
        return before?.same(place) ? before : place;
      }),
    );
  }

  private index(places: Place[]): void {
    const kept = new Set(places);
    for (const place of this.places) if (!kept.has(place)) place.drop();
    this.places = places;
    this.runs = places.flatMap(runsOf).sort((a, b) => a.frame - b.frame);
  }
}

function runsOf(place: Place): Run[] {
  const runs: Run[] = [];
  let run: Run | undefined;
  for (const [page, frame] of place.stretch.frames.entries()) {
    if (run && frame === run.frame + run.pages) run.pages++;
    else {
      run = { frame, pages: 1, place, page };
      runs.push(run);
    }
  }
  return runs;
}
