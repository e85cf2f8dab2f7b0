/** BAR pages in memfds, which clients can map. */
import type { PageProvider, Pages } from '../host/pages.js';
import { type MappedMemory, native } from '../native/index.js';

const PAGE = 4096;

interface Window {
  readonly memory: MappedMemory;
  readonly offset: number;
}

class Memfd implements Pages {
  private readonly file: number;
  private readonly windows = new Map<ArrayBufferLike, Window>();
  private end = 0;

  constructor(
    name: string,
    private readonly provider: MemfdProvider,
  ) {
    this.file = native().memfd(name, 0);
  }

  get fd(): number | undefined {
    return this.provider.mappable ? this.file : undefined;
  }

  get shared(): boolean {
    return !native().isUnshared(this.file);
  }

  map(offset: number, length: number): Buffer {
    const size = Math.ceil(length / PAGE) * PAGE;
    this.reach(offset + size);
    const memory = native().map(this.file, offset, size);
    this.windows.set(memory.buffer.buffer, { memory, offset });
    this.provider.mappings.set(memory.buffer.buffer, memory);
    return memory.buffer.subarray(0, length);
  }

  take({ buffer }: Buffer, from: Memfd, offset: number): void {
    const window = from.windows.get(buffer);
    if (!window) throw new Error('not a window of the file it is taken from');
    const { memory } = window;
    const { length } = memory.buffer;
    this.reach(offset + length);
    // Whoever mapped the place when it was last in use may have left something.
    native().punchHole(this.file, offset, length);
    native().copyData(from.file, window.offset, this.file, offset, length);
    memory.remap(this.file, offset);
    native().punchHole(from.file, window.offset, length);
    from.windows.delete(buffer);
    this.windows.set(buffer, { memory, offset });
  }

  unmap({ buffer }: Buffer): void {
    this.windows.get(buffer)?.memory.unmap();
    this.windows.delete(buffer);
  }

  discard(memory: Buffer): void {
    const { offset, memory: mapped } = this.windows.get(memory.buffer)!;
    native().punchHole(this.file, offset, mapped.buffer.length);
    this.unmap(memory);
  }

  release(): void {
    for (const { memory } of this.windows.values()) memory.unmap();
    this.windows.clear();
    native().close(this.file);
  }

  private reach(end: number): void {
    if (end <= this.end) return;
    this.end = end;
    native().truncate(this.file, end);
  }
}

export class MemfdProvider implements PageProvider {
  /** False where the transport has no passthrough: regions are then reported without the MMAP flag. */
  mappable = true;
  readonly mappings = new WeakMap<ArrayBufferLike, MappedMemory>();

  create(name: string): Memfd {
    return new Memfd(name, this);
  }

  /** The mapping that `window`, or any part of it, is a view of. */
  mappingOf(window: Buffer): MappedMemory | undefined {
    return this.mappings.get(window.buffer);
  }
}
