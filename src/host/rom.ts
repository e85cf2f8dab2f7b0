/** Expansion ROMs as the kernel reads them (drivers/pci/rom.c): what is in one, and how much of it is an image. */
import { PCI_ROM_ADDRESS, PCI_ROM_ADDRESS1 } from '../abi/pci/index.js';
import type { PciFunction } from './pci-function.js';

/** Largest BAR that the register has bits for. */
export const largestRom = 16 * 2 ** 20;
export const smallestRom = 2048;

const sector = 512;
const headerSize = 0x1a;
const signature = 0xaa55;
const dataPointer = 0x18;
/** "PCIR" */
const dataSignature = 0x52494350;
const smallestData = 0x18;
const data = { length: 0x0a, imageLength: 0x10, indicator: 0x15 } as const;
const lastImage = 0x80;

/** The smallest BAR that `bytes` fit in. */
export function romBar(bytes: number): number {
  return Math.max(smallestRom, 2 ** Math.ceil(Math.log2(bytes)));
}

export interface MappedRom {
  /** Bytes that its images say they have, the BAR at most. */
  readonly length: number;
  /** [offset, offset+length) lies in the BAR. */
  read(offset: number, length: number): Buffer;
}

/** pci_map_rom() and pci_unmap_rom(): undefined where no image starts; what of the BAR is not filled, or not decoded, reads as ones. */
export function mapRom(fn: PciFunction, decoded: boolean): MappedRom | undefined {
  if (fn.romSize === 0) return undefined;
  // Its decoding is turned on for the purpose, and off again, whoever had turned it on by setpci.
  fn.config.write(fn.isBridge ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS, 4, Number(fn.romAddress));
  const { rom = new Uint8Array(0) } = fn;
  const read = (offset: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length, 0xff);
    if (decoded) bytes.set(rom.subarray(offset, offset + length));
    return bytes;
  };
  const length = imagesIn(fn.romSize, read);
  return length === 0 ? undefined : { length, read };
}

/** pci_get_rom_size() */
function imagesIn(size: number, read: MappedRom['read']): number {
  const number = (at: number, bytes: number) => read(at, bytes).readUIntLE(0, bytes);
  // pci_rom_header_valid()
  const isHeader = (at: number) =>
    at % sector === 0 && at + headerSize <= size && number(at, 2) === signature;
  // pci_rom_data_struct_valid()
  const isData = (at: number) => {
    if (at % 4 !== 0 || at + data.length + 2 > size || number(at, 4) !== dataSignature) return false;
    const length = number(at + data.length, 2);
    return length >= smallestData && length !== 0xffff && at + length <= size;
  };
  let image = 0;
  while (isHeader(image)) {
    const at = image + number(image + dataPointer, 2);
    if (!isData(at)) break;
    const length = number(at + data.imageLength, 2);
    image += length * sector;
    if (length === 0 || (number(at + data.indicator, 1) & lastImage) !== 0) break;
  }
  return Math.min(image, size);
}
