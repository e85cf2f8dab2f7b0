/** Configuration space as a file, of sysfs and of procfs. */
import { PCI_STD_HEADER_SIZEOF } from '../abi/pci/index.js';
import type { PciFunction } from '../host/pci-function.js';
import type { Caller } from '../vfs/caller.js';
import type { BinarySpec } from './kit/attribute.js';

export interface ConfigFile extends BinarySpec {
  readable(opener: Caller): number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, data: Buffer): void;
}

/** Whoever opened it without CAP_SYS_ADMIN sees the standard header only (pci_read_config()); there are no CardBus bridges here. */
export function configSpace(fn: PciFunction): ConfigFile {
  return {
    mode: 0o644,
    // Another profile of the function has other registers, and who has the file open reads those.
    get size() {
      return fn.config.size;
    },
    readable: (opener) => (opener.capable('SYS_ADMIN') ? fn.config.size : PCI_STD_HEADER_SIZEOF),
    // A function that sleeps in D3hot reads as it is: only D3cold is left for an access (pci_config_pm_runtime_get()).
    read: (offset, length) => Buffer.from(fn.config.bytes.subarray(offset, offset + length)),
    /** In naturally aligned accesses of 1, 2 and 4 bytes, as pci_write_config() and proc_bus_pci_write() make them. */
    write(offset, data) {
      for (let at = 0; at < data.length; ) {
        const left = data.length - at;
        const here = offset + at;
        const width = here % 2 || left === 1 ? 1 : here % 4 || left < 4 ? 2 : 4;
        fn.config.write(here, width, data.readUIntLE(at, width));
        at += width;
      }
    },
  };
}
