/** Kernel modules of the pretend machine: those of VFIO with their parameters, and one for every driver. */
import type { KernelModule, ModuleDriver, ModuleParameter } from './host.js';

type Row = { version?: string; parameters: readonly ModuleParameter[] };
const bool = (name: string, mode = 0o644, value = false): ModuleParameter => ({
  name,
  kind: 'bool',
  mode,
  value,
});

/** Versions, modes and defaults of the kernel's own. Fresh objects: parameter values can be written. */
export function vfioModules(): ReadonlyMap<string, Row> {
  return new Map<string, Row>([
    ['vfio', { version: '0.3', parameters: [bool('enable_unsafe_noiommu_mode')] }],
    [
      'vfio_iommu_type1',
      {
        version: '0.2',
        parameters: [
          bool('allow_unsafe_interrupts'),
          bool('disable_hugepages'),
          { name: 'dma_entry_limit', kind: 'uint', mode: 0o644, value: 65535 },
        ],
      },
    ],
    [
      'vfio_pci',
      {
        parameters: [
          bool('disable_denylist', 0o444),
          bool('disable_idle_d3'),
          bool('disable_vga', 0o444),
          bool('enable_sriov'),
          bool('nointxmask'),
        ],
      },
    ],
    ['vfio_pci_core', { parameters: [] }],
    [
      'pciehp',
      {
        parameters: [
          bool('pciehp_poll_mode'),
          { name: 'pciehp_poll_time', kind: 'uint', mode: 0o644, value: 0 },
        ],
      },
    ],
    ['iommufd', { parameters: [bool('allow_unsafe_interrupts')] }],
  ]);
}

type Values = Readonly<Record<string, Readonly<Record<string, boolean | number>>>>;

export class Modules {
  private readonly drivers = new Map<string, ModuleDriver[]>();
  readonly byName = new Map<string, KernelModule>();

  /** `values` has passed checkDescription(). */
  constructor(values: Values) {
    for (const [name, row] of vfioModules()) {
      for (const parameter of row.parameters)
        parameter.value = values[name]?.[parameter.name] ?? parameter.value;
      this.add(name, row);
    }
  }

  /** The module of a driver lists it, and exists from then on. */
  claim(module: string, driver: ModuleDriver): void {
    this.ensure(module, { parameters: [] });
    this.drivers.get(module)!.push(driver);
  }

  /** Exists, with or without a driver. */
  ensure(name: string, row: Row): void {
    if (!this.byName.has(name)) this.add(name, row);
  }

  private add(name: string, row: Row): void {
    const drivers: ModuleDriver[] = [];
    this.drivers.set(name, drivers);
    this.byName.set(name, { name, ...row, drivers });
  }
}
