/** A built machine as plain data, for `topology show`: everything resolved, nothing that only objects can hold. */
import type { Emulated } from './emulated.js';
import type { Host } from './host.js';
import type { IommuGroup } from './iommu-group.js';
import type { Bar, Bridge, PciFunction, Window } from './pci-function.js';
import { hex } from './problem.js';

const id = (value: number, digits = 4): string => `0x${value.toString(16).padStart(digits, '0')}`;
const range = (window: Window | undefined): string | null =>
  window ? `${hex(window.start)}-${hex(window.end)}` : null;

function describeBar(bar: Bar) {
  const { index, kind, size } = bar;
  const resizable = bar.sizes && { sizes: [...bar.sizes] };
  return {
    index,
    kind,
    prefetchable: bar.prefetchable ?? false,
    address: hex(bar.address),
    size,
    ...resizable,
  };
}

function describeBridge({ kind, secondary, subordinate, io, memory, prefetchable }: Bridge) {
  return {
    kind,
    secondary,
    subordinate,
    windows: { io: range(io), memory: range(memory), prefetchable: range(prefetchable) },
  };
}

export function describeFunction(fn: PciFunction) {
  const { shape } = fn;
  return {
    bdf: fn.bdf,
    ids: {
      vendor: id(shape.vendor),
      device: id(shape.device),
      subsystem_vendor: id(shape.subsystemVendor ?? 0),
      subsystem_device: id(shape.subsystemDevice ?? 0),
      class: id(shape.classCode, 6),
      revision: id(shape.revision ?? 0, 2),
    },
    behind: fn.parent?.bdf ?? null,
    bridge: fn.bridge ? describeBridge(fn.bridge) : null,
    bars: fn.bars.filter((bar) => bar !== undefined).map(describeBar),
    rom: fn.romSize > 0 ? { address: hex(fn.romAddress), size: fn.romSize } : null,
    sriov: fn.sriov ? { total_vfs: fn.sriov.totalVfs, numvfs: fn.sriov.numVfs } : null,
    physfn: fn.physfn?.bdf ?? null,
    irq: fn.irq,
    numa_node: fn.numaNode,
    reset_methods: [...fn.resetMethods],
    model: fn.modelName ?? null,
    profile: fn.profile?.name ?? null,
    migration: fn.migration ? [...fn.migration.flags] : null,
    dma_logging: fn.dmaLogging ?? false,
    iommu_group: fn.iommuGroup?.id ?? null,
    dma_coherency: fn.dmaCoherency,
    driver: fn.driver?.name ?? null,
    driver_override: fn.driverOverride,
  };
}

/** Mediated or auxiliary. */
function describeEmulated({ name, fn, driver, bound }: Emulated) {
  return {
    name,
    parent: fn.mediatedBy!.bdf,
    driver: bound ? driver : null,
    iommu_group: fn.iommuGroup?.id ?? null,
  };
}

function describeGroup(group: IommuGroup) {
  return {
    id: group.id,
    name: group.options.name ?? null,
    type: group.options.type,
    functions: [...group.functions].map((fn) => fn.bdf),
    reserved_regions: group.options.reservedRegions.map(
      ({ start, end, type }) => `${hex(start)}-${hex(end)} ${type}`,
    ),
  };
}

/** JSON-safe: numbers, strings, booleans, null; addresses as hexadecimal text. Models and config spaces are not woken. */
export function describeHost(host: Host) {
  const { kind, addressWidth, pageSizes, interruptRemapping, enforcesCoherency, physicalDma, registers } =
    host.iommu;
  return {
    kernel: { release: host.release, tainted: host.tainted },
    iommu: {
      kind,
      address_width: addressWidth,
      page_sizes: hex(pageSizes),
      interrupt_remapping: interruptRemapping,
      enforces_coherency: enforcesCoherency,
      physical_dma: physicalDma,
      registers: { ...registers },
    },
    vfio: {
      noncoherent_cdev: host.vfio.noncoherentCdev,
      dma_buf: host.vfio.dmaBuf,
      default_profile: host.vfio.defaultProfile,
    },
    modules: Object.fromEntries(
      [...host.modules.values()].map(({ name, parameters }) => [
        name,
        Object.fromEntries(parameters.map((row) => [row.name, row.value])),
      ]),
    ),
    functions: [...host.functions.values()].map(describeFunction),
    groups: [...host.groups.values()].sort((a, b) => a.id - b.id).map(describeGroup),
    mdevs: [...host.mdevs.devices.values()].map((one) => ({ ...describeEmulated(one), type: one.type.name })),
    auxiliaries: [...host.auxiliaries.devices.values()].map((one) => ({
      ...describeEmulated(one),
      sfnum: one.sfnum,
    })),
    drivers: [...host.drivers.all()].map((driver) => ({ name: driver.name, module: driver.module })),
  };
}
