/**
 * /lib/modules: what kmod, lspci -k, libvirt and dpdk-devbind read to find out which module drives what. Every module is
 * built in, so there are no module files, and depending on one needs nothing.
 */
import { release } from 'node:os';
import type { KernelModule } from '../../host/host.js';
import type { Model } from '../context.js';
import { type Entry, entry, link, subdirectory } from '../kit/directory.js';
import { plainFile } from '../kit/plain.js';
import { type Alias, aliases } from './alias.js';
import { type IndexEntry, kmodIndex } from './kmod-index.js';

/** Where the kernel's source tree has them, without `.ko`; dpdk-devbind takes the last part for the driver's name. */
const places: Readonly<Record<string, string>> = {
  e1000e: 'kernel/drivers/net/ethernet/intel/e1000e/e1000e',
  igb: 'kernel/drivers/net/ethernet/intel/igb/igb',
  ioatdma: 'kernel/drivers/dma/ioat/ioatdma',
  hisi_acc_vfio_pci: 'kernel/drivers/vfio/pci/hisilicon/hisi-acc-vfio-pci',
  iommufd: 'kernel/drivers/iommu/iommufd/iommufd',
  mdev: 'kernel/drivers/vfio/mdev/mdev',
  mlx5_core: 'kernel/drivers/net/ethernet/mellanox/mlx5/core/mlx5_core',
  mlx5_vfio_pci: 'kernel/drivers/vfio/pci/mlx5/mlx5-vfio-pci',
  nvme: 'kernel/drivers/nvme/host/nvme',
  pci_stub: 'kernel/drivers/pci/pci-stub',
  pcieport: 'kernel/drivers/pci/pcie/pcieport',
  vfio: 'kernel/drivers/vfio/vfio',
  vfio_iommu_type1: 'kernel/drivers/vfio/vfio_iommu_type1',
  vfio_pci: 'kernel/drivers/vfio/pci/vfio-pci',
  vfio_pci_core: 'kernel/drivers/vfio/pci/vfio-pci-core',
  virtio_pci: 'kernel/drivers/virtio/virtio_pci',
  virtio_vfio_pci: 'kernel/drivers/vfio/pci/virtio/virtio-vfio-pci',
};

const place = (name: string) => places[name] ?? `kernel/drivers/misc/${name}`;

/** NUL-terminated module.key=value, as modinfo prints them. */
function modinfo(modules: Iterable<KernelModule>, known: readonly Alias[]): string[] {
  const rows: string[] = [];
  for (const { name, version, parameters } of modules) {
    const row = (key: string, value: string) => rows.push(`${name}.${key}=${value}`);
    row('file', place(name).replace(/^kernel\//, ''));
    row('license', 'GPL');
    if (version !== undefined) row('version', version);
    for (const alias of known) if (alias.module === name) row('alias', alias.pattern);
    for (const parameter of parameters) row('parmtype', `${parameter.name}:${parameter.kind}`);
  }
  return rows;
}

/** underscores(): kmod looks for names and aliases with `_` for `-`, character classes aside (none here have any). */
const normalized = (text: string) => text.replaceAll('-', '_');

const lines = (rows: readonly string[]) => Buffer.from(rows.map((row) => `${row}\n`).join(''));

export function moduleIndexes(model: Model): Entry<void>[] {
  const { host } = model;
  const names = () => [...host.modules.keys()].sort();
  const files: Record<string, () => Buffer> = {
    'modules.alias': () =>
      lines([
        '# Aliases extracted from modules themselves.',
        ...aliases(host).map(({ pattern, module }) => `alias ${pattern} ${module}`),
      ]),
    'modules.alias.bin': () => kmodIndex(aliasEntries(aliases(host))),
    'modules.builtin': () => lines(names().map((name) => `${place(name)}.ko`)),
    'modules.builtin.alias.bin': () => kmodIndex(aliasEntries(aliases(host))),
    'modules.builtin.bin': () => kmodIndex(names().map((name) => ({ key: name, value: '', priority: 0 }))),
    'modules.builtin.modinfo': () =>
      Buffer.from(
        modinfo(host.modules.values(), aliases(host))
          .map((row) => `${row}\0`)
          .join(''),
      ),
    'modules.dep': () => lines([]),
    'modules.dep.bin': () => kmodIndex([]),
    'modules.devname': () =>
      lines([
        '# Device nodes to trigger on-demand module loading.',
        ...(host.modules.has('vfio') ? ['vfio vfio/vfio c10:196'] : []),
      ]),
    'modules.order': () => lines([]),
    'modules.softdep': () =>
      lines([
        '# Soft dependencies extracted from modules themselves.',
        ...(host.modules.has('vfio') ? ['softdep vfio post: vfio_iommu_type1 vfio_iommu_spapr_tce'] : []),
      ]),
    'modules.symbols': () => lines(['# Aliases for symbols, used by symbol_request().']),
    'modules.symbols.bin': () => kmodIndex([]),
  };
  const indexes = subdirectory<void>(
    host.release,
    Object.entries(files).map(([name, show]) =>
      entry('file', name, (_, { path }) => plainFile({ mode: 0o644, path, show, sized: true })),
    ),
  );
  // Programs look below what uname(2) says, and nobody can change that for them.
  const real = release();
  return real === host.release ? [indexes] : [indexes, link(real, () => `lib/modules/${host.release}`)];
}

function aliasEntries(known: readonly Alias[]): IndexEntry[] {
  const entries = new Map<string, IndexEntry>();
  for (const { pattern, module } of known) {
    const key = normalized(pattern);
    entries.set(`${key} ${module}`, { key, value: module, priority: 0 });
  }
  return [...entries.values()];
}
