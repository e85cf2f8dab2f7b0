/**
 * A running machine as a topology file: what sysfs tells of its PCI functions, IOMMU and drivers, with the functions' registers. So a
 * report of a problem carries the hardware it happened on.
 */
import { stringify } from 'yaml';
import { builtInDrivers } from '../../host/plain-drivers.js';
import { captureFunction, type Row } from './function.js';
import { SysfsTree } from './tree.js';

export interface Capture {
  /** As in a topology file. */
  readonly topology: Row;
  /** What could not be had, one line each. */
  readonly gaps: readonly string[];
}

/** `sys`: what stands for /sys; only root reads more than the first 64 bytes of configuration spaces. */
export function captureHost(sys = '/sys'): Capture {
  const tree = new SysfsTree(sys);
  const all = tree.list('bus/pci/devices');
  if (all.length === 0) throw new Error(`${sys}/bus/pci/devices: no PCI functions to capture`);
  const functions = all
    .filter((bdf) => !tree.has(`bus/pci/devices/${bdf}/physfn`))
    .map((bdf) => captureFunction(tree, bdf));
  const gaps = functions
    .filter(({ bdf }) => (tree.bytes(`bus/pci/devices/${bdf}/config`)?.length ?? 0) <= 64)
    .map(({ bdf }) => `${bdf}: only 64 bytes of its configuration space can be read (run as root)`);
  const roots = tree
    .list('devices')
    .filter((name) => /^pci[0-9a-f]+:[0-9a-f]{2}$/.test(name))
    .map((name) => name.slice('pci'.length));
  const drivers = strangers(tree, functions);
  return {
    topology: {
      iommu: iommuOf(tree),
      ...nodesOf(tree),
      root_buses: roots,
      firmware: 'captured',
      ...(drivers.length > 0 && { drivers }),
      functions,
    },
    gaps,
  };
}

/** The topology as the text of a file. */
export function captureText(topology: Row): string {
  return stringify(topology, { lineWidth: 0, blockQuote: 'literal' });
}

/** Bound drivers that vfiofs does not have: they hold their functions, and do nothing else. */
function strangers(tree: SysfsTree, functions: readonly Row[]): Row[] {
  const known = new Set(['vfio-pci', ...builtInDrivers.map(({ name }) => name)]);
  const names = new Set(functions.map(({ driver }) => driver as string));
  return [...names]
    .filter((name) => name !== 'none' && !known.has(name))
    .sort()
    .map((name) => {
      const module = tree.linked(`bus/pci/drivers/${name}/module`);
      const ids = functions
        .filter(({ driver }) => driver === name)
        .map(({ bdf }) => ({
          vendor: number(tree, `bus/pci/devices/${bdf}/vendor`),
          device: number(tree, `bus/pci/devices/${bdf}/device`),
        }));
      const distinct = new Map(ids.map((id) => [`${id.vendor}:${id.device}`, id]));
      return { name, ...(module && { module }), ids: [...distinct.values()] };
    });
}

/** One node is the default. */
function nodesOf(tree: SysfsTree): Row {
  const lists = tree
    .list('devices/system/node')
    .filter((name) => /^node[0-9]+$/.test(name))
    .sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
    .map((name) => tree.text(`devices/system/node/${name}/cpulist`));
  return lists.length > 1 && lists.every((list) => list) ? { numa_nodes: lists } : {};
}

function number(tree: SysfsTree, path: string): number {
  return Number(tree.text(path) ?? 0);
}

/** MGAW of VT-d's capability register, bits 16 to 21: the width less one. */
const addressWidth = (cap: string) => Number((BigInt(`0x${cap}`) >> 16n) & 0x3fn) + 1;

function iommuOf(tree: SysfsTree): Row {
  const type = tree.text('kernel/iommu_groups/0/type');
  return { ...unitOf(tree), ...(/^(DMA|DMA-FQ|identity)$/.test(type ?? '') && { domain_type: type }) };
}

function unitOf(tree: SysfsTree): Row {
  const unit = tree.list('class/iommu')[0];
  const path = `class/iommu/${unit}`;
  const cap = unit && tree.text(`${path}/intel-iommu/cap`);
  if (cap) {
    const ecap = tree.text(`${path}/intel-iommu/ecap`)!;
    return { kind: 'intel', address_width: addressWidth(cap), registers: { cap, ecap } };
  }
  const amd = unit && tree.text(`${path}/amd-iommu/cap`);
  if (amd) return { kind: 'amd', registers: { cap: amd, ecap: tree.text(`${path}/amd-iommu/features`)! } };
  return { kind: 'none' };
}
