/**
 * /sys/firmware/acpi/tables: the table by which firmware tells of its IOMMU. virt-host-validate looks for it before it believes in
 * one; which name it looks for follows the CPU flags in /proc/cpuinfo (see procfs).
 */
import type { Model } from '../context.js';
import { binary, type Entry, subdirectory } from '../kit/directory.js';

/** Length of the header that all ACPI tables share; its ninth byte makes the sum of all bytes zero. */
const headerLength = 36;
const checksumOffset = 9;

function table(signature: string, revision: number, body: Buffer): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(headerLength), body]);
  bytes.write(signature, 0, 'latin1');
  bytes.writeUInt32LE(bytes.length, 4);
  bytes.writeUInt8(revision, 8);
  bytes.write('VFIOFSVFIOFS  ', 10, 'latin1'); // OEM id and OEM table id
  bytes.writeUInt32LE(1, 24);
  bytes.write('VFIO', 28, 'latin1');
  bytes.writeUInt32LE(1, 32);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.writeUInt8(-sum & 0xff, checksumOffset);
  return bytes;
}

/** One remapping unit per PCI domain, for all of its functions (Intel VT-d specification, 8.1 and 8.3). */
function dmar({ host }: Model): Buffer {
  const interruptRemapping = 1;
  const includeAll = 1;
  const head = Buffer.alloc(12);
  head.writeUInt8(host.iommu.addressWidth - 1, 0);
  head.writeUInt8(host.iommu.interruptRemapping ? interruptRemapping : 0, 1);
  const units = [...new Set(host.roots.map(({ domain }) => domain & 0xffff))].map((domain, index) => {
    const unit = Buffer.alloc(16);
    unit.writeUInt16LE(unit.length, 2);
    unit.writeUInt8(includeAll, 4);
    unit.writeUInt16LE(domain, 6);
    unit.writeBigUInt64LE(0xfed9_0000n + BigInt(index) * 0x1000n, 8);
    return unit;
  });
  return table('DMAR', 1, Buffer.concat([head, ...units]));
}

/** One IVHD of type 0x10 per PCI domain (AMD I/O Virtualization Technology specification, 5.2). */
function ivrs({ host }: Model): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32LE((host.iommu.addressWidth & 0x7f) << 8, 0);
  const units = [...new Set(host.roots.map(({ domain }) => domain & 0xffff))].map((domain, index) => {
    const unit = Buffer.alloc(24);
    unit.writeUInt8(0x10, 0);
    unit.writeUInt16LE(unit.length, 2);
    unit.writeUInt16LE(0x0002, 4); // 00:00.2
    unit.writeUInt16LE(0x40, 6);
    unit.writeBigUInt64LE(0xfeb8_0000n + BigInt(index) * 0x8_0000n, 8);
    unit.writeUInt16LE(domain, 16);
    return unit;
  });
  return table('IVRS', 2, Buffer.concat([head, ...units]));
}

export function firmware(model: Model): Entry<void>[] {
  const { kind } = model.host.iommu;
  if (kind === 'none') return [];
  const bytes = kind === 'intel' ? dmar(model) : ivrs(model);
  const file = binary<void>(kind === 'intel' ? 'DMAR' : 'IVRS', () => ({
    mode: 0o400,
    size: bytes.length,
    read: (offset, length) => bytes.subarray(offset, offset + length),
  }));
  return [subdirectory('firmware', [subdirectory('acpi', [subdirectory('tables', [file])])])];
}
