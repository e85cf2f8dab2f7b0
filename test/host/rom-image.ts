/** An expansion ROM as the PCI Firmware Specification lays it out, made of images that do nothing. */

export interface ImageShape {
  /** Of 512 bytes, as the image says; its bytes go that far. */
  readonly sectors: number;
  readonly last?: boolean;
  /** Where its data structure stands. */
  readonly data?: number;
}

export function romImage(...images: readonly ImageShape[]): Buffer {
  return Buffer.concat(
    images.map(({ sectors, last = false, data = 0x1c }, index) => {
      const bytes = Buffer.alloc(sectors * 512, 0x10 + index);
      bytes.writeUInt16LE(0xaa55, 0);
      bytes.writeUInt16LE(data, 0x18);
      if (data + 0x18 > bytes.length) return bytes;
      bytes.write('PCIR', data, 'latin1');
      bytes.writeUInt16LE(0x18, data + 0x0a);
      bytes.writeUInt16LE(sectors, data + 0x10);
      bytes[data + 0x15] = last ? 0x80 : 0;
      return bytes;
    }),
  );
}
