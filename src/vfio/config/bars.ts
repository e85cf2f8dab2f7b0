/** Base address registers as a client sees them: kept in the shadow, sized by writing all ones (vfio_bar_fixup()). */
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_ROM_ADDRESS,
  PCI_ROM_ADDRESS_ENABLE,
} from '../../abi/pci/index.js';
import type { PciFunction } from '../../host/pci-function.js';

const NUM_BARS = 6;

export function isBar(offset: number): boolean {
  const bars = offset >= PCI_BASE_ADDRESS_0 && offset < PCI_BASE_ADDRESS_0 + 4 * NUM_BARS;
  return bars || (offset >= PCI_ROM_ADDRESS && offset < PCI_ROM_ADDRESS + 4);
}

/** Masks what was written by the size of each BAR and puts its type bits back. */
export function fixBars(shadow: Buffer, fn: PciFunction): void {
  for (let index = 0; index < NUM_BARS; index++) {
    const at = PCI_BASE_ADDRESS_0 + 4 * index;
    const bar = fn.bars[index];
    if (!bar) {
      shadow.writeUInt32LE(0, at);
      continue;
    }
    const mask = BigInt.asUintN(64, -BigInt(bar.size));
    const type =
      bar.kind === 'io'
        ? PCI_BASE_ADDRESS_SPACE_IO
        : (bar.kind === 'memory64' ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
          (bar.prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
    const low = (shadow.readUInt32LE(at) & Number(mask & 0xffff_fff0n)) | type;
    // A port range may start at any multiple of its size, from 4 bytes on.
    const io = (shadow.readUInt32LE(at) & Number(mask & 0xffff_fffcn)) | type;
    shadow.writeUInt32LE((bar.kind === 'io' ? io : low) >>> 0, at);
    if (bar.kind !== 'memory64') continue;
    index++;
    shadow.writeUInt32LE((shadow.readUInt32LE(at + 4) & Number(mask >> 32n)) >>> 0, at + 4);
  }
  const rom =
    fn.romSize === 0 ? 0 : shadow.readUInt32LE(PCI_ROM_ADDRESS) & (-fn.romSize | PCI_ROM_ADDRESS_ENABLE);
  shadow.writeUInt32LE(rom >>> 0, PCI_ROM_ADDRESS);
}
