/** Configuration space, BARs and ROM of a function as files. */
import { refuse } from '../../abi/errno.js';
import { PCI_COMMAND, PCI_COMMAND_IO, PCI_COMMAND_MEMORY } from '../../abi/pci/index.js';
import type { Bar, PciFunction } from '../../host/pci-function.js';
import { mapRom } from '../../host/rom.js';
import { hasVpd, readVpd, writeVpd } from '../../host/vpd.js';
import type { Caller } from '../../vfs/caller.js';
import type { Model } from '../context.js';
import type { BinarySpec } from '../kit/attribute.js';
import { binary, type Entry, text } from '../kit/directory.js';
import { hex } from '../kit/format.js';
import { parseBool, parseNumber } from '../kit/parse.js';
import { configSpace } from '../pci-config.js';
import { allResources } from '../pci-resources.js';

/** `resource`: seven lines are what lspci reads, six DPDK. */
const resourceLines = (fn: PciFunction): string[] =>
  allResources(fn).map(({ start, end, flags }) => `${hex(start, 16)} ${hex(end, 16)} ${hex(flags, 16)}`);

/**
 * `resourceN`. Memory BARs are for mmap, and pread and pwrite are EIO. Opening it brings the pages to where a mapping of it reaches them;
 * while a client has the function's VFIO device open they stay with that, and mmap is ENODEV (`host/bar-home.ts`).
 */
function barFile({ host }: Model, fn: PciFunction, bar: Bar): BinarySpec {
  // Gone with the profile that it was of.
  const alive = () => fn.bars[bar.index] === bar;
  if (bar.kind === 'io') return { ...portFile(fn, bar), alive };
  return {
    mode: 0o600,
    alive,
    get size() {
      return bar.size;
    },
    resizable: bar.sizes !== undefined,
    backing() {
      const loan = bar.home?.lend(!fn.held);
      if (loan) host.changes.emit({ kind: 'bar-lent', function: fn });
      return loan;
    },
  };
}

/** Port accesses of exactly 1, 2 or 4 bytes (pci_resource_io()); a device that decodes no I/O leaves the bus at ones. */
function portFile(fn: PciFunction, bar: Bar): BinarySpec {
  const checked = (length: number) => {
    if (length !== 1 && length !== 2 && length !== 4) refuse('EINVAL', `port access of ${length} bytes`);
    return (fn.config.read(PCI_COMMAND, 2) & PCI_COMMAND_IO) !== 0 ? fn.model?.model : undefined;
  };
  return {
    mode: 0o600,
    size: bar.size,
    read(offset, length) {
      const value = checked(length)?.portRead?.(bar.index, offset, length);
      const bytes = Buffer.alloc(length, 0xff);
      if (value !== undefined) bytes.writeUIntLE(value, 0, length);
      return bytes;
    },
    write(offset, data) {
      checked(data.length)?.portWrite?.(bar.index, offset, data.length, data.readUIntLE(0, data.length));
    },
  };
}

/** pci_read_rom(): from 1 being written on, and as long as the function decodes memory. */
function romFile({ settings }: Model, fn: PciFunction): BinarySpec {
  return {
    mode: 0o600,
    size: fn.romSize,
    read(offset, length) {
      if (!settings(fn).romEnabled) refuse('EINVAL', 'the ROM is not enabled');
      const rom = mapRom(fn, fn.memoryEnabled()) ?? refuse('EIO', 'no image starts in the ROM');
      return rom.read(offset, Math.max(0, Math.min(length, rom.length - offset)));
    },
    write(_offset, data) {
      settings(fn).romEnabled = parseBool(data.toString('latin1'));
    },
  };
}

/** Bytes of the EEPROM, by the registers of the capability (vpd_read(), vpd_write()). */
function vitalData(fn: PciFunction): BinarySpec {
  return {
    mode: 0o600,
    size: 0,
    read: (offset, length) => readVpd(fn, offset, length),
    write: (offset, data) => writeVpd(fn, offset, data),
  };
}

/** Bit 0 is 1 MiB (pci_rebar_get_possible_sizes()). */
function sizeBits(fn: PciFunction, index: number): bigint {
  return (fn.bars[index]!.sizes ?? []).reduce(
    (bits, size) => bits | (1n << BigInt(Math.log2(size) - 20)),
    0n,
  );
}

/** __resource_resize_store(): decoding is off meanwhile. */
function storeSize({ host }: Model, fn: PciFunction, index: number, content: string, caller: Caller): void {
  if (!caller.capable('SYS_ADMIN')) refuse('EPERM', 'CAP_SYS_ADMIN is needed');
  const exponent = parseNumber(content);
  if (fn.driver || (fn.sriov?.numVfs ?? 0) > 0) refuse('EBUSY', `${fn.bdf} has a driver or VFs`);
  if (exponent > 27n) refuse('EINVAL', `2^${exponent} MiB: expected a size of the capability`);
  const command = fn.config.read(PCI_COMMAND, 2);
  fn.config.write(PCI_COMMAND, 2, command & ~PCI_COMMAND_MEMORY);
  try {
    host.resizeBar(fn, index, 2 ** (20 + Number(exponent)));
  } finally {
    fn.config.write(PCI_COMMAND, 2, command);
  }
}

export function resources(model: Model): Entry<PciFunction>[] {
  const perBar = [0, 1, 2, 3, 4, 5].flatMap((index) => [
    binary<PciFunction>(
      `resource${index}`,
      (fn) => barFile(model, fn, fn.bars[index]!),
      (fn) => fn.bars[index] !== undefined,
    ),
    // Write-combining mappings exist for prefetchable memory where the CPU has PAT; DPDK maps these for drivers that ask (ena).
    binary<PciFunction>(
      `resource${index}_wc`,
      (fn) => barFile(model, fn, fn.bars[index]!),
      (fn) => fn.bars[index]?.kind !== 'io' && fn.bars[index]?.prefetchable === true,
    ),
  ]);
  const resizable = [0, 1, 2, 3, 4, 5].map((index) =>
    text<PciFunction>(`resource${index}_resize`, {
      when: (fn) => fn.bars[index]?.sizes !== undefined,
      show: (fn) => sizeBits(fn, index).toString(16).padStart(16, '0'),
      store: (fn, content, caller) => storeSize(model, fn, index, content, caller),
    }),
  );
  return [
    binary('config', configSpace),
    text('resource', { show: resourceLines }),
    ...perBar,
    ...resizable,
    binary('vpd', vitalData, hasVpd),
    binary(
      'rom',
      (fn) => romFile(model, fn),
      (fn) => fn.romSize > 0,
    ),
  ];
}
