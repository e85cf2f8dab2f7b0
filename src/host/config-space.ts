/**
 * A function's configuration space as the hardware keeps it: bytes, and for each bit whether software can change it. The kernel's
 * virtualised view for VFIO stands in `vfio/config/`.
 */

export interface CapabilityAt {
  readonly id: number;
  readonly offset: number;
  /** Bytes, header included. */
  readonly length: number;
}

export class ConfigSpace {
  readonly bytes: Buffer;
  /** 1 bits can be written by software. */
  readonly writable: Buffer;
  private readonly listeners: ((offset: number, length: number) => void)[] = [];
  private readonly answers: { readonly start: number; readonly end: number; answer(): void }[] = [];

  constructor(
    /** 256, or 4096 with extended configuration space. */
    readonly size: 256 | 4096,
    /** Chain order, as built. */
    readonly capabilities: readonly CapabilityAt[],
    readonly extended: readonly CapabilityAt[],
  ) {
    this.bytes = Buffer.alloc(size);
    this.writable = Buffer.alloc(size);
  }

  /** `length` 1, 2 or 4 bytes, little endian; the caller keeps inside `size`. */
  read(offset: number, length: number): number {
    return this.bytes.readUIntLE(offset, length);
  }

  /** Changes only writable bits, then tells the listeners (command register, power state, BARs moved). */
  write(offset: number, length: number, value: number): void {
    for (let i = 0; i < length; i++) {
      const mask = this.writable[offset + i] as number;
      const byte = Math.floor(value / 2 ** (8 * i)) & 0xff;
      this.bytes[offset + i] = ((this.bytes[offset + i] as number) & ~mask) | (byte & mask);
    }
    for (const row of this.answers) if (offset < row.end && offset + length > row.start) row.answer();
    for (const listener of this.listeners) listener(offset, length);
  }

  /** The hardware changes by itself (reset, status bits): bytes from `offset` on, whatever software may write. */
  poke(offset: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, offset);
    for (const listener of this.listeners) listener(offset, bytes.length);
  }

  onWrite(listener: (offset: number, length: number) => void): void {
    this.listeners.push(listener);
  }

  /** The device does something of its own when software writes [offset, offset + length), if no bit changes even. */
  answer(offset: number, length: number, answer: () => void): void {
    this.answers.push({ start: offset, end: offset + length, answer });
  }

  find(id: number): CapabilityAt | undefined {
    return this.capabilities.find((capability) => capability.id === id);
  }
}
