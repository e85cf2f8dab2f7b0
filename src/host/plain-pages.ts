/** Pages that only this process sees: for tests and for machines without a mount. */
import type { PageProvider, Pages } from './pages.js';

class PlainPages implements Pages {
  readonly fd = undefined;
  readonly shared = false;
  private readonly buffers = new Map<number, Buffer>();

  map(offset: number, length: number): Buffer {
    let buffer = this.buffers.get(offset);
    if (!buffer) {
      buffer = Buffer.alloc(length);
      this.buffers.set(offset, buffer);
    }
    // Two buffers for one place would be two memories.
    if (buffer.length < length)
      throw new Error(`offset ${offset} is mapped with ${buffer.length} bytes already`);
    return buffer.subarray(0, length);
  }

  take(): never {
    throw new Error('plain buffers are no file: nobody needs them elsewhere');
  }

  unmap(memory: Buffer): void {
    for (const [offset, buffer] of this.buffers)
      if (buffer.buffer === memory.buffer) this.buffers.delete(offset);
  }

  discard(memory: Buffer): void {
    this.unmap(memory);
  }

  release(): void {
    this.buffers.clear();
  }
}

export const plainPages: PageProvider = { create: () => new PlainPages() };
