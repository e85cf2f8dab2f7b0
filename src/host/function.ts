/** A PCI function made from its plan. Config space, BAR memory and model come to be when first asked for. */
import * as pci from '../abi/pci/index.js';
import type { BarSpec, FunctionShape, WatchedRegister } from '../devices/contract.js';
import type { Bdf, PciAddress } from './bdf.js';
import { buildConfig } from './config-builder.js';
import type { ConfigSpace } from './config-space.js';
import { deviceContext } from './device-context.js';
import type { PciDriver } from './driver.js';
import { FunctionInterrupts } from './interrupts.js';
import type { IommuGroup } from './iommu-group.js';
import { type IrqNumbers, MessageVectors } from './messages.js';
import { largestBar, type PageProvider, type Pages, REGION_SHIFT, WINDOW_SIZE } from './pages.js';
import type { AttachedModel, Bar, Bridge, FunctionSinks, PciFunction, ResetMethod } from './pci-function.js';
import type { BarPlan, FunctionPlan } from './plan.js';
import { PhysicalFunction } from './sriov.js';
import { VpdEeprom, vpdContents } from './vpd.js';

/** What `machine.ts` wants to hear of; every hook runs synchronously. */
export interface HostHooks {
  /** A model came to be: its `watched` registers can be given to the native watcher (fn.pages.fd, fn.pagesBase). */
  modelAttached?(fn: PciFunction, attached: AttachedModel): void;
  /** The model changed a watched register itself. */
  settled?(fn: PciFunction, register: WatchedRegister): void;
  /** A line for the trace. */
  log?(fn: PciFunction, message: string): void;
}

export interface FunctionServices {
  readonly provider: PageProvider;
  readonly hooks: HostHooks;
  readonly irqNumbers: IrqNumbers;
}

const page = 4096;
/** Filling a BAR makes its pages: not of one that is large and mostly untouched. */
const largestEmptied = 16 * 2 ** 20;
/** Byte ranges of a bridge's header that follow from what is below: bus numbers, windows. */
const bridgeRegisters = [
  [0x18, 0x1b],
  [0x1c, 0x1e],
  [0x20, 0x34],
] as const;

export class HostFunction implements PciFunction {
  readonly bdf: Bdf;
  readonly address: PciAddress;
  readonly shape: FunctionShape;
  readonly bars: readonly (Bar | undefined)[];
  readonly children: HostFunction[] = [];
  readonly sriov: PhysicalFunction | undefined;
  readonly sinks: FunctionSinks = { dma: undefined, msi: undefined, intx: undefined };
  readonly messages: MessageVectors;
  readonly pagesBase: number;
  iommuGroup: IommuGroup | undefined;
  driver: PciDriver | undefined;
  driverOverride: string | null;
  enableCount = 0;
  present = true;
  /** The driver link is gone but its remove still waits for users; settles when it is done. */
  unbinding: Promise<void> | undefined;
  private builtConfig: ConfigSpace | undefined;
  private ownPages: Pages | undefined;
  private readonly memory = new Map<number, Buffer>();
  private attached: AttachedModel | undefined;
  private interrupts: FunctionInterrupts | undefined;
  private destroyed = false;
  private modelState: 'none' | 'waiting' | 'starting' | 'attached';

  constructor(
    readonly plan: FunctionPlan,
    readonly parent: HostFunction | undefined,
    private readonly services: FunctionServices,
    readonly physfn: HostFunction | undefined = undefined,
  ) {
    this.bdf = plan.bdf;
    this.address = plan.address;
    this.shape = plan.shape;
    this.bars = plan.bars.map((bar) => bar && new HostBar(bar, this));
    this.messages = new MessageVectors(() => this.config, services.irqNumbers);
    this.pagesBase = plan.window * WINDOW_SIZE;
    this.sriov = plan.description.sriov && new PhysicalFunction(plan);
    this.driverOverride = plan.description.driverOverride ?? null;
    this.modelState = plan.definition ? 'waiting' : 'none';
  }

  get bridge(): Bridge | undefined {
    return this.plan.bridge;
  }
  get isBridge(): boolean {
    return this.plan.bridge !== undefined;
  }
  get multifunction(): boolean {
    return this.plan.multifunction;
  }
  get romSize(): number {
    return this.plan.rom.size;
  }
  get romAddress(): bigint {
    return this.plan.rom.address;
  }
  get irq(): number {
    return this.plan.irq;
  }
  get numaNode(): number {
    return this.plan.description.numaNode ?? -1;
  }

  get config(): ConfigSpace {
    if (!this.builtConfig) {
      this.builtConfig = buildConfig(this.plan);
      const { vpd } = this.plan.description;
      if (this.builtConfig.find(pci.PCI_CAP_ID_VPD))
        new VpdEeprom(vpd && vpdContents(vpd)).attach(this.builtConfig);
    }
    return this.builtConfig;
  }

  get pages(): Pages | undefined {
    if (!this.plan.bars.some((bar) => bar && bar.kind !== 'io')) return undefined;
    this.startModel();
    return this.rawPages();
  }

  get modelName(): string | undefined {
    return this.attached?.name ?? this.plan.definition?.name;
  }

  get model(): AttachedModel | undefined {
    this.startModel();
    return this.attached;
  }
  set model(model: AttachedModel | undefined) {
    this.attached = model;
    this.modelState = model ? 'attached' : 'none';
  }

  memoryEnabled(): boolean {
    // A VF has no such bit: its PF's VF Memory Space Enable is on for as long as there are VFs.
    const { physfn } = this;
    if (!physfn && (this.config.read(pci.PCI_COMMAND, 2) & pci.PCI_COMMAND_MEMORY) === 0) return false;
    const pm = this.config.find(pci.PCI_CAP_ID_PM);
    return !pm || (this.config.read(pm.offset + pci.PCI_PM_CTRL, 2) & pci.PCI_PM_CTRL_STATE_MASK) === 0;
  }

  get resetMethods(): readonly ResetMethod[] {
    if (this.isBridge) return [];
    const methods: ResetMethod[] = [];
    if (this.shape.pcie?.flr) methods.push('flr');
    // pci_parent_bus_reset(): the secondary bus can be reset when nobody else is on it.
    if (this.parent?.children.filter((mate) => !mate.physfn).length === 1 && !this.physfn)
      methods.push('bus');
    return methods;
  }
  get canReset(): boolean {
    return this.resetMethods.length > 0;
  }

  reset(): boolean {
    if (!this.canReset) return false;
    // Config space first: with bus mastering off, work in flight can't land any more.
    if (this.builtConfig) {
      const image = buildConfig(this.plan).bytes;
      const keep = (offset: number, length: number) =>
        this.builtConfig!.bytes.copy(image, offset, offset, offset + length);
      keep(pci.PCI_BASE_ADDRESS_0, 24);
      keep(pci.PCI_ROM_ADDRESS, 4);
      keep(pci.PCI_INTERRUPT_LINE, 1);
      // The kernel writes it back at once (sriov_restore_state()).
      const virtualization = this.builtConfig.extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_SRIOV);
      if (virtualization && this.sriov) keep(virtualization.offset, virtualization.length);
      this.builtConfig.poke(0, image);
    }
    this.attached?.model.reset();
    this.interrupts?.reset();
    return true;
  }

  /** Memory behind BAR `index`, mapped on first use and never moved; whole pages behind a smaller BAR, too. */
  rawMemory(index: number): Buffer {
    const bar = this.bars[index];
    if (!bar || bar.kind === 'io') throw new Error(`${this.bdf}: BAR ${index} is no memory BAR`);
    let memory = this.memory.get(index);
    if (memory?.length !== bar.size) {
      // As large as the BAR can become is what is mapped, so that it never moves.
      const largest = Math.max(...(bar.sizes ?? []).filter((size) => size <= largestBar), bar.size, page);
      const offset = this.pagesBase + index * 2 ** Number(REGION_SHIFT);
      const whole = memory
        ? Buffer.from(memory.buffer, memory.byteOffset, largest)
        : this.rawPages().map(offset, largest);
      memory = whole.subarray(0, bar.size);
      this.memory.set(index, memory);
    }
    return memory;
  }

  settled(register: WatchedRegister): void {
    this.services.hooks.settled?.(this, register);
  }
  log(message: string): void {
    this.services.hooks.log?.(this, message);
  }

  /** Creates the model unless it stands or there is none. Its constructor may ask for memory: not a reason to create it again. */
  startModel(): void {
    if (this.modelState !== 'waiting') return;
    this.modelState = 'starting';
    const definition = this.plan.definition!;
    try {
      const interrupts = new FunctionInterrupts(this, (bar) => this.rawMemory(bar));
      const model = definition.create(deviceContext(this, interrupts), { ...this.plan.description.options });
      this.interrupts = interrupts;
      this.model = { name: definition.name, model, watched: model.watched ?? [] };
    } catch (cause) {
      this.modelState = 'waiting';
      throw new Error(`${this.bdf}: model ${definition.name} can't start: ${(cause as Error).message}`, {
        cause,
      });
    }
    this.services.hooks.modelAttached?.(this, this.attached!);
  }

  /** Pulled out: what reads it by a mapping gets the ones of an empty bus, as far as anybody has touched it and it is no huge BAR. */
  vanish(): void {
    this.present = false;
    for (const memory of this.memory.values()) if (memory.length <= largestEmptied) memory.fill(0xff);
  }

  /** A BAR has another size, and it or others another place: registers and their writable bits follow. */
  barsMoved(): void {
    if (!this.builtConfig) return;
    const { bytes, writable, extended } = buildConfig(this.plan);
    const rebar = extended.find(({ id }) => id === pci.PCI_EXT_CAP_ID_REBAR);
    const ranges: [number, number][] = [[pci.PCI_BASE_ADDRESS_0, pci.PCI_BASE_ADDRESS_0 + 24]];
    if (rebar) ranges.push([rebar.offset, rebar.offset + rebar.length]);
    for (const [start, end] of ranges) {
      writable.copy(this.builtConfig.writable, start, start, end);
      this.builtConfig.poke(start, bytes.subarray(start, end));
    }
  }

  /** Slot mates or what is below a bridge have changed: those parts of the header are as the plan says now. */
  refreshHeader(): void {
    if (!this.builtConfig) return;
    const { bytes } = buildConfig(this.plan);
    const changed = this.isBridge ? bridgeRegisters : [];
    for (const [offset, end] of [[pci.PCI_HEADER_TYPE, pci.PCI_HEADER_TYPE + 1] as const, ...changed])
      this.builtConfig.poke(offset, bytes.subarray(offset, end));
  }

  /** The function leaves the machine. Pages of its own go with it; those of its group stay until the group goes. */
  destroy(): void {
    this.interrupts?.reset();
    this.messages.forget();
    this.attached?.model.destroy?.();
    this.present = false;
    this.destroyed = true;
    this.model = undefined;
    this.interrupts = undefined;
    // Whoever kept the function gets an error from now on, not memory that is no longer mapped.
    const pages = this.ownPages ?? this.iommuGroup?.pages;
    for (const memory of this.memory.values()) pages?.unmap(memory);
    this.memory.clear();
    this.ownPages?.release();
    this.ownPages = undefined;
  }

  /** Grouped functions share the group's file; one without a group (or in a no-IOMMU group, which comes and goes) has its own. */
  private rawPages(): Pages {
    if (this.destroyed) throw new Error(`${this.bdf} has left the machine`);
    const { provider } = this.services;
    if (this.plan.group === undefined) {
      this.ownPages ??= provider.create(`vfiofs ${this.bdf}`);
      return this.ownPages;
    }
    const group = this.iommuGroup!;
    group.pages ??= provider.create(`vfiofs group ${group.id}`);
    return group.pages;
  }
}

class HostBar implements Bar {
  readonly index: number;
  readonly kind: BarSpec['kind'];
  readonly prefetchable: boolean;

  constructor(
    private readonly plan: BarPlan,
    private readonly fn: HostFunction,
  ) {
    this.index = plan.index;
    this.kind = plan.kind;
    this.prefetchable = plan.prefetchable ?? false;
  }

  get sizes(): readonly number[] | undefined {
    return this.plan.sizes;
  }
  /** Both change when the BAR is resized. */
  get size(): number {
    return this.plan.size;
  }
  get address(): bigint {
    return this.plan.address;
  }

  get memory(): Buffer | undefined {
    if (this.kind === 'io') return undefined;
    this.fn.startModel();
    return this.fn.rawMemory(this.index);
  }
}
