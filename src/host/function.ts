/** A PCI function made from its plan. Config space, BAR memory and model come to be when first asked for. */
import * as pci from '../abi/pci/index.js';
import type { FunctionShape, ModelDefinition, WatchedRegister } from '../devices/contract.js';
import { storeOwner } from './attribute-choice.js';
import { AttributeSet } from './attributes.js';
import type { Bdf, PciAddress } from './bdf.js';
import type { ConfigSpace } from './config-space.js';
import type {
  DmaCoherency,
  LegacyIoDescription,
  MigrationDescription,
  OnboardDescription,
  ProfileDescription,
} from './description.js';
import type { PciDriver } from './driver.js';
import type { KobjectEvent } from './events.js';
import { FunctionMemory, HostBar } from './function-memory.js';
import { FunctionModel } from './function-model.js';
import { FunctionRegisters } from './function-registers.js';
import { type FunctionState, HostFunctionState } from './function-state.js';
import type { FunctionInterrupts } from './interrupts.js';
import type { IommuGroup } from './iommu-group.js';
import { type IrqNumbers, MessageVectors } from './messages.js';
import { type PageProvider, type Pages, WINDOW_SIZE } from './pages.js';
import {
  type AttachedModel,
  type Bar,
  type Bridge,
  noSinks,
  type PciFunction,
  type ResetMethod,
} from './pci-function.js';
import type { FunctionForm, FunctionPlan } from './plan.js';
import { canResetBy, type Surroundings, usableResets } from './reset-methods.js';
import { PhysicalFunction } from './sriov.js';

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
  /** `fn` has message vectors now, or none any more. */
  messagesChanged(fn: PciFunction): void;
  /** An extra attribute of `fn` has come or gone. */
  attributesChanged(fn: PciFunction): void;
  tellUdev(event: KobjectEvent): void;
}

export class HostFunction implements PciFunction {
  readonly bdf: Bdf;
  readonly address: PciAddress;
  readonly children: HostFunction[] = [];
  readonly sriov: PhysicalFunction | undefined;
  readonly sinks = noSinks();
  readonly state: FunctionState = new HostFunctionState(this);
  readonly messages: MessageVectors;
  readonly pagesBase: number;
  iommuGroup: IommuGroup | undefined;
  driver: PciDriver | undefined;
  driverOverride: string | null;
  dmaBits = 32;
  enableCount = 0;
  held = false;
  present = true;
  /** The driver link is gone but its remove still waits for users; settles when it is done. */
  unbinding: Promise<void> | undefined;
  readonly registers: FunctionRegisters;
  readonly memory: FunctionMemory;
  private readonly behind: FunctionModel;
  private planned: readonly (Bar | undefined)[] | undefined;
  private extra: AttributeSet | undefined;
  private foundAmong: Surroundings = { alone: false, scanned: false, slots: false, multifunction: false };
  private usable: readonly ResetMethod[] | undefined;

  constructor(
    readonly plan: FunctionPlan,
    readonly parent: HostFunction | undefined,
    private readonly services: FunctionServices,
    readonly physfn: HostFunction | undefined = undefined,
    /** Found again by a rescan, it is a new one: nobody has set its driver_override. */
    again = false,
  ) {
    this.bdf = plan.bdf;
    this.address = plan.address;
    this.registers = new FunctionRegisters(plan);
    this.memory = new FunctionMemory(this, services.provider);
    this.messages = new MessageVectors(
      (change) => this.configure(change),
      services.irqNumbers,
      () => services.messagesChanged(this),
    );
    this.pagesBase = plan.window * WINDOW_SIZE;
    this.sriov = plan.description.sriov && new PhysicalFunction(plan);
    this.driverOverride = again ? null : (plan.description.driverOverride ?? null);
    this.behind = new FunctionModel(this, services.hooks);
  }

  get shape(): FunctionShape {
    return this.plan.shape;
  }
  get profiles(): readonly ProfileDescription[] | undefined {
    return this.plan.own.profiles;
  }
  get profile(): ProfileDescription | undefined {
    return this.plan.profile;
  }
  get mediatedBy(): PciFunction | undefined {
    return this.plan.mediatedBy;
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
    return this.plan.rom.lost ? 0 : this.plan.rom.size;
  }
  get romAddress(): bigint {
    return this.plan.rom.address;
  }
  get rom(): Uint8Array | undefined {
    return this.plan.description.rom;
  }
  get onboard(): OnboardDescription | undefined {
    return this.plan.description.onboard;
  }
  get irq(): number {
    return this.plan.irq;
  }
  get numaNode(): number {
    return this.plan.description.numaNode ?? -1;
  }

  get dmaCoherency(): DmaCoherency {
    return this.physfn?.dmaCoherency ?? this.plan.description.dmaCoherency ?? 'enforced';
  }

  get bars(): readonly (Bar | undefined)[] {
    this.planned ??= this.plan.bars.map((bar) => (bar && !bar.lost ? new HostBar(bar, this) : undefined));
    return this.planned;
  }

  get config(): ConfigSpace {
    return this.registers.config;
  }
  configure(change: (config: ConfigSpace) => void): void {
    this.registers.configure(change);
  }

  get pages(): Pages | undefined {
    return this.memory.pages;
  }

  get modelName(): string | undefined {
    return this.behind.attached?.name ?? this.plan.definition?.name;
  }

  get model(): AttachedModel | undefined {
    this.behind.start();
    return this.behind.attached;
  }
  set model(model: AttachedModel | undefined) {
    this.behind.attach(model);
  }
  get interrupts(): FunctionInterrupts | undefined {
    return this.behind.interrupts;
  }

  memoryEnabled(): boolean {
    // A VF has no such bit: its PF's VF Memory Space Enable is on for as long as there are VFs.
    const { physfn } = this;
    if (!physfn && (this.config.read(pci.PCI_COMMAND, 2) & pci.PCI_COMMAND_MEMORY) === 0) return false;
    const pm = this.config.find(pci.PCI_CAP_ID_PM);
    return !pm || (this.config.read(pm.offset + pci.PCI_PM_CTRL, 2) & pci.PCI_PM_CTRL_STATE_MASK) === 0;
  }

  /** Found when the function was, from what stood around it then: the first one on its bus was alone there at that moment. */
  get resetMethods(): readonly ResetMethod[] {
    this.usable ??= usableResets(this, this.foundAmong);
    return this.usable;
  }
  found({ alone, slots }: Pick<Surroundings, 'alone' | 'slots'>): void {
    this.foundAmong = { alone, slots, scanned: false, multifunction: this.multifunction };
  }
  probeResets(): void {
    this.usable = usableResets(this, this.surroundings);
  }
  private get surroundings(): Surroundings {
    const alone = this.parent?.children.length === 1;
    return { alone, scanned: true, slots: true, multifunction: this.multifunction };
  }
  get canReset(): boolean {
    return this.resetMethods.length > 0;
  }

  reset(): boolean {
    if (!this.resetMethods.some((method) => canResetBy(this, method, this.surroundings))) return false;
    // Config space first: with bus mastering off, work in flight can't land any more.
    this.registers.reset();
    this.resetModel();
    return true;
  }

  resetModel(): void {
    this.behind.reset();
    this.sinks.resetDone?.();
  }

  get attributes(): AttributeSet | undefined {
    const { attributes } = this.plan.own;
    if (!attributes) return undefined;
    this.extra ??= new AttributeSet(attributes, {
      store: storeOwner(this),
      driver: () => this.driver?.name,
      held: () => this.held,
      changed: () => this.services.attributesChanged(this),
      tell: (action, also) =>
        this.services.tellUdev({ action, subject: { kind: 'pci', function: this, also } }),
    });
    return this.extra;
  }

  get migration(): MigrationDescription | false | undefined {
    return this.plan.description.migration;
  }
  get dmaLogging(): boolean | undefined {
    return this.plan.description.dmaLogging;
  }
  get legacyIo(): LegacyIoDescription | undefined {
    return this.plan.virtual?.pf.description.sriov?.legacyIo;
  }
  get definition(): ModelDefinition | undefined {
    return this.plan.definition;
  }
  get stateVersion(): number {
    return this.plan.definition?.stateVersion ?? 0;
  }

  get lent(): boolean {
    return this.memory.lent;
  }

  settled(register: WatchedRegister): void {
    this.services.hooks.settled?.(this, register);
  }
  log(message: string): void {
    this.services.hooks.log?.(this, message);
  }

  startModel(): void {
    this.behind.start();
  }

  /** It is another device from now on, as it comes from the factory: registers, memory and model are made anew. Nobody uses it. */
  reshape(form: FunctionForm): void {
    this.behind.end();
    this.memory.clear();
    Object.assign(this.plan, form);
    this.planned = undefined;
    this.registers.rebuild();
    this.usable = undefined;
    this.behind.renew();
  }

  /** Pulled out. */
  vanish(): void {
    this.present = false;
    this.memory.vanish();
  }

  /** The function leaves the machine. Pages of its own go with it; those of its group stay until the group goes. */
  destroy(): void {
    this.behind.end();
    this.extra?.release();
    this.messages.forget();
    this.present = false;
    this.memory.destroy();
  }
}
