/** One function of a running machine as a row of a topology file. */
import * as pci from '../../abi/pci/index.js';
import type { SysfsTree } from './tree.js';

export type Row = Record<string, unknown>;

/** include/linux/ioport.h; lines of `resource` (drivers/pci/pci-sysfs.c: resource_show()). */
const IORESOURCE_IO = 0x100;
const IORESOURCE_UNSET = 0x2000_0000;
const romLine = 6;
/** With PCI_IOV; a bridge of a kernel without it has 11 lines and no VF BARs. */
const firstVfLine = 7;
const barCount = 6;

const kinds: Readonly<Record<number, string>> = {
  [pci.PCI_EXP_TYPE_ROOT_PORT]: 'root-port',
  [pci.PCI_EXP_TYPE_UPSTREAM]: 'upstream-port',
  [pci.PCI_EXP_TYPE_DOWNSTREAM]: 'downstream-port',
  [pci.PCI_EXP_TYPE_PCI_BRIDGE]: 'pcie-to-pci',
};

/** `path`: its directory below /sys. VFs are not rows: they follow from their PF. */
export function captureFunction(sys: SysfsTree, bdf: string): Row {
  const path = `bus/pci/devices/${bdf}`;
  const config = sys.bytes(`${path}/config`) ?? Buffer.alloc(0);
  const resources = resourceLines(sys.text(`${path}/resource`) ?? '');
  const driver = sys.linked(`${path}/driver`);
  const override = sys.text(`${path}/driver_override`);
  const node = Number(sys.text(`${path}/numa_node`) ?? -1);
  const group = sys.linked(`${path}/iommu_group`);
  const rom = sizeOf(resources[romLine]);
  const bars = barRows(resources.slice(0, barCount), 1);
  return {
    bdf,
    ...(bars.length > 0 && { bars }),
    ...(rom > 0 && { rom_size: sizeText(rom) }),
    ...bridgeOf(sys, path, config),
    ...sriovOf(sys, path, resources),
    ...lineOf(sys, path),
    driver: driver ?? 'none',
    ...(override && override !== '(null)' && { driver_override: override }),
    ...(group !== undefined && { iommu_group: Number(group) }),
    ...(node >= 0 && { numa_node: node }),
    ...onboardOf(sys, path),
    config: registerText(config),
  };
}

interface Resource {
  readonly start: bigint;
  readonly end: bigint;
  readonly flags: number;
}

function resourceLines(text: string): Resource[] {
  return text.split('\n').map((line) => {
    const [start, end, flags] = line.split(' ').map((word) => BigInt(word || 0));
    return { start: start ?? 0n, end: end ?? 0n, flags: Number(flags ?? 0n) };
  });
}

function sizeOf(resource: Resource | undefined): number {
  return !resource || resource.flags === 0 ? 0 : Number(resource.end - resource.start + 1n);
}

/** Sizes only: the registers have the rest. The kernel gives all VFs' BARs as one. */
function barRows(resources: readonly Resource[], parts: number): Row[] {
  return resources.flatMap((resource, index) => {
    const size = sizeOf(resource) / parts;
    const known = size > 0 && (resource.flags & IORESOURCE_UNSET) === 0;
    return known ? [{ index, size: resource.flags & IORESOURCE_IO ? size : sizeText(size) }] : [];
  });
}

function sizeText(size: number): string | number {
  for (const [unit, factor] of [
    ['G', 2 ** 30],
    ['M', 2 ** 20],
    ['K', 2 ** 10],
  ] as const)
    if (size % factor === 0) return `${size / factor}${unit}`;
  return size;
}

function bridgeOf(sys: SysfsTree, path: string, config: Buffer): Row {
  const secondary = sys.text(`${path}/secondary_bus_number`);
  if (secondary === undefined) return {};
  const express = capability(config, pci.PCI_CAP_ID_EXP);
  const type =
    express === undefined ? undefined : (config.readUInt16LE(express + pci.PCI_EXP_FLAGS) >> 4) & 0xf;
  return {
    bridge: {
      kind: type === undefined ? 'pci' : (kinds[type] ?? 'pci'),
      secondary: Number(secondary),
      subordinate: Number(sys.text(`${path}/subordinate_bus_number`)),
    },
  };
}

/** pci-label.c shows one of the two. */
function onboardOf(sys: SysfsTree, path: string): Row {
  const label = sys.text(`${path}/label`);
  if (!label) return {};
  const [index, acpi] = ['index', 'acpi_index'].map((name) => sys.text(`${path}/${name}`));
  return {
    onboard: {
      label,
      ...(index !== undefined && { index: Number(index) }),
      ...(acpi !== undefined && { acpi_index: Number(acpi) }),
    },
  };
}

function capability(config: Buffer, id: number): number | undefined {
  const seen = new Set<number>();
  let at = config.length > pci.PCI_CAPABILITY_LIST ? config[pci.PCI_CAPABILITY_LIST]! & ~3 : 0;
  while (at >= pci.PCI_STD_HEADER_SIZEOF && at + 4 <= config.length && !seen.has(at)) {
    if (config[at] === id) return at;
    seen.add(at);
    at = config[at + pci.PCI_CAP_LIST_NEXT]! & ~3;
  }
  return undefined;
}

function sriovOf(sys: SysfsTree, path: string, resources: readonly Resource[]): Row {
  const total = Number(sys.text(`${path}/sriov_totalvfs`) ?? 0);
  if (total === 0) return {};
  const numvfs = Number(sys.text(`${path}/sriov_numvfs`));
  const bars = barRows(resources.slice(firstVfLine, firstVfLine + barCount), total);
  const first = numvfs > 0 ? sys.bytes(`${path}/virtfn0/config`) : undefined;
  return {
    sriov: {
      ...(bars.length > 0 && { bars }),
      ...(numvfs > 0 && { numvfs }),
      ...(first && { config: registerText(first) }),
    },
  };
}

/** `irq` is the line's unless the driver uses MSI, and its vector then. */
function lineOf(sys: SysfsTree, path: string): Row {
  const vectors = sys.list(`${path}/msi_irqs`);
  const usesMsi = vectors.some((vector) => sys.text(`${path}/msi_irqs/${vector}`) === 'msi');
  const irq = Number(sys.text(`${path}/irq`) ?? 0);
  return irq > 0 && !usesMsi ? { irq } : {};
}

/** As `lspci -xxxx` prints them, without rows of zeros. */
export function registerText(config: Buffer): string {
  const rows: string[] = [];
  for (let at = 0; at < config.length; at += 16) {
    const row = config.subarray(at, at + 16);
    const place = at.toString(16).padStart(at < 0x100 ? 2 : 3, '0');
    // The last one tells how many there are.
    if (row.some((byte) => byte !== 0) || at + 16 >= config.length)
      rows.push(`${place}: ${row.toString('hex').replace(/(..)(?!$)/g, '$1 ')}`);
  }
  return `${rows.join('\n')}\n`;
}
