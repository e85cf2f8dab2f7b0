/** The memory of a client that exists only in a test: ranges that were mapped, EFAULT everywhere else, and pins that reach the same bytes. */
import { refuse } from '../abi/errno.js';
import type { ClientProcess, PinnedRange } from '../vfs/caller.js';

interface Mapping {
  readonly start: bigint;
  readonly bytes: Buffer;
  readonly writable: boolean;
}

export interface FakePin extends PinnedRange {
  readonly vaddr: bigint;
}

export class FakeMemory {
  /** Not yet released. */
  readonly pins = new Set<FakePin>();
  private mappings: Mapping[] = [];

  constructor(
    private readonly pid: number,
    private readonly alive: () => boolean,
  ) {}

  readonly frames: ClientProcess['frames'] = {
    stretches: () =>
      this.mappings.map(({ start, bytes, writable }) => {
        const pages = Array.from(
          { length: Math.ceil(bytes.length / 4096) },
          (_, i) => Number(start >> 12n) + i,
        );
        return { vaddr: start, writable, frames: pages.map((page) => this.frameOf(page)) };
      }),
    at: (vaddr, pages) =>
      Array.from({ length: pages }, (_, i) => {
        const page = Number(vaddr >> 12n) + i;
        return this.mappingOf(page) ? this.frameOf(page) : 0;
      }),
  };

  load(address: bigint, length: number): Buffer {
    return Buffer.concat(this.pieces(address, BigInt(length), false));
  }

  store(address: bigint, data: Uint8Array, checksProtection = true): void {
    let taken = 0;
    for (const piece of this.pieces(address, BigInt(data.length), checksProtection)) {
      piece.set(data.subarray(taken, taken + piece.length));
      taken += piece.length;
    }
  }

  map(address: bigint, content: Uint8Array | number, { writable = true } = {}): Buffer {
    const bytes =
      typeof content === 'number'
        ? Buffer.alloc(content)
        : Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    this.unmap(address, bytes.length);
    this.mappings.push({ start: address, bytes, writable });
    return bytes;
  }

  unmap(address: bigint, length: number): void {
    const end = address + BigInt(length);
    this.mappings = this.mappings.flatMap((m) => {
      const last = m.start + BigInt(m.bytes.length);
      if (last <= address || m.start >= end) return [m];
      const kept: Mapping[] = [];
      if (m.start < address) kept.push({ ...m, bytes: m.bytes.subarray(0, Number(address - m.start)) });
      if (last > end) kept.push({ ...m, start: end, bytes: m.bytes.subarray(Number(end - m.start)) });
      return kept;
    });
  }

  /** EFAULT where something of it is not mapped. */
  pin(vaddr: bigint, length: bigint, writable: boolean): FakePin {
    this.pieces(vaddr, length, writable);
    let live = true;
    const check = (offset: bigint, count: number): void => {
      if (!live) throw new Error('a released pin is still used');
      if (offset < 0n || offset + BigInt(count) > length) throw new Error('access outside the pinned range');
    };
    const read = (offset: bigint, count: number): Buffer => {
      check(offset, count);
      return this.load(vaddr + offset, count);
    };
    const pin: FakePin = {
      vaddr,
      length,
      shared: false,
      device: false,
      read,
      write: (offset, data) => {
        check(offset, data.length);
        if (!writable) throw new Error('write through a pin taken for reading');
        this.store(vaddr + offset, data);
      },
      async copyTo(offset, target, targetOffset, count) {
        await target.write(targetOffset, read(offset, count));
      },
      release: () => {
        if (!live) throw new Error('a pin is released twice');
        live = false;
        this.pins.delete(pin);
      },
    };
    this.pins.add(pin);
    return pin;
  }

  /** The buffers behind [address, address+length), in order; EFAULT at the first hole. */
  private pieces(address: bigint, length: bigint, writes: boolean): Buffer[] {
    if (!this.alive()) refuse('EFAULT', `process ${this.pid} is gone`);
    const found: Buffer[] = [];
    const end = address + length;
    for (let at = address; at < end; ) {
      const hit = this.mappings.find((m) => at >= m.start && at < m.start + BigInt(m.bytes.length));
      if (!hit) return refuse('EFAULT', `nothing mapped at 0x${at.toString(16)}`);
      if (writes && !hit.writable) refuse('EFAULT', `0x${at.toString(16)} is read-only`);
      const from = Number(at - hit.start);
      const left = end - at;
      const piece = hit.bytes.subarray(
        from,
        left < BigInt(hit.bytes.length) ? from + Number(left) : undefined,
      );
      found.push(piece);
      at += BigInt(piece.length);
    }
    return found;
  }

  /** Neighbours change places: what is contiguous in one kind of address is not in the other. */
  private frameOf(page: number): number {
    return this.pid * 2 ** 24 + ((page % 2 ** 24) ^ 1);
  }

  private mappingOf(page: number): Mapping | undefined {
    return this.mappings.find((m) => {
      const from = BigInt(page) * 4096n - m.start;
      return from >= 0n && from < BigInt(m.bytes.length);
    });
  }
}
