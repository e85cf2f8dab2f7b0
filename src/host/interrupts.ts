/**
 * Interrupts on their way out of a function: masks of the MSI-X table (in BAR memory) and of the MSI capability are honoured, a
 * masked message is pending until unmasked. Vector control reads 0 after reset: the kernel, which unmasks what it enables, is us.
 */
import * as pci from '../abi/pci/index.js';
import type { FunctionShape, Interrupts } from '../devices/contract.js';
import type { ConfigSpace } from './config-space.js';
import type { FunctionSinks } from './pci-function.js';

export interface InterruptSource {
  readonly shape: FunctionShape;
  readonly config: ConfigSpace;
  readonly sinks: FunctionSinks;
}

/** Milliseconds between looks at the table while a message is pending: a mapped store to it does not trap. */
const pendingInterval = 1;

export class FunctionInterrupts implements Interrupts {
  private readonly pending = new Set<number>();
  private timer: NodeJS.Timeout | undefined;
  private level = false;
  private line = false;
  /** Nothing leaves the function. */
  private held = false;

  constructor(
    private readonly source: InterruptSource,
    /** Of the BARs that the MSI-X table and its pending bits are in. */
    private readonly memory: (bar: number) => Buffer,
  ) {
    source.config.onWrite(() => {
      this.flush();
      this.driveLine();
    });
  }

  get mode(): 'intx' | 'msi' | 'msix' {
    const { shape } = this.source;
    if (shape.msi && this.isOn(pci.PCI_CAP_ID_MSI, pci.PCI_MSI_FLAGS, pci.PCI_MSI_FLAGS_ENABLE)) return 'msi';
    if (shape.msix && this.isOn(pci.PCI_CAP_ID_MSIX, pci.PCI_MSIX_FLAGS, pci.PCI_MSIX_FLAGS_ENABLE))
      return 'msix';
    return 'intx';
  }

  msi(vector: number): void {
    if (!this.has(vector)) return;
    // A message is a memory write of the function's: without bus mastering it never leaves it.
    if ((this.source.config.read(pci.PCI_COMMAND, 2) & pci.PCI_COMMAND_MASTER) === 0) return;
    if (this.held || this.isMasked(vector)) this.defer(vector);
    else this.source.sinks.msi?.(vector);
  }

  intx(asserted: boolean): void {
    this.level = asserted && (this.source.shape.interruptPin ?? 0) !== 0;
    this.driveLine();
  }

  /** What is raised from now on is pending until release(). */
  hold(): void {
    this.held = true;
  }

  release(): void {
    this.held = false;
    this.flush();
    this.lookAgain();
    this.driveLine();
  }

  /** Level of INTx, whether or not it may leave. */
  get asserted(): boolean {
    return this.level;
  }

  /** Messages that are pending. */
  get waiting(): readonly number[] {
    return [...this.pending];
  }

  /** Becomes what another one was, once the memories are the other one's. */
  restore(asserted: boolean, waiting: readonly number[]): void {
    for (const vector of this.pending) this.showPending(vector, false);
    this.pending.clear();
    for (const vector of waiting) if (this.has(vector)) this.defer(vector);
    this.intx(asserted);
  }

  /** Power-on state: nothing pending, table and PBA clear, line released. */
  reset(): void {
    this.pending.clear();
    clearTimeout(this.timer);
    this.timer = undefined;
    const { msix } = this.source.shape;
    if (msix) {
      const { bar, tableOffset, pbaBar = bar, pbaOffset, vectors } = msix;
      this.memory(bar).fill(0, tableOffset, tableOffset + vectors * pci.PCI_MSIX_ENTRY_SIZE);
      this.memory(pbaBar).fill(0, pbaOffset, pbaOffset + 8 * Math.ceil(vectors / 64));
    }
    this.intx(false);
  }

  private has(vector: number): boolean {
    const count = (this.usesMsi() ? this.source.shape.msi : this.source.shape.msix)?.vectors ?? 0;
    return Number.isInteger(vector) && vector >= 0 && vector < count;
  }

  private defer(vector: number): void {
    this.pending.add(vector);
    this.showPending(vector, true);
    this.lookAgain();
  }

  /** Sends what is pending and no longer masked. */
  private flush(): void {
    if (this.held) return;
    for (const vector of this.pending) {
      if (this.isMasked(vector)) continue;
      this.pending.delete(vector);
      this.showPending(vector, false);
      this.source.sinks.msi?.(vector);
    }
  }

  private lookAgain(): void {
    if (this.timer || this.held || this.pending.size === 0) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.flush();
      this.lookAgain();
    }, pendingInterval).unref();
  }

  /** MSI when it is on, or when the function has nothing else. */
  private usesMsi(): boolean {
    const { shape } = this.source;
    return shape.msi !== undefined && (shape.msix === undefined || this.mode === 'msi');
  }

  private isOn(capability: number, flags: number, bit: number): boolean {
    const { config } = this.source;
    return (config.read(config.find(capability)!.offset + flags, 2) & bit) !== 0;
  }

  private isMasked(vector: number): boolean {
    const { shape, config } = this.source;
    if (this.usesMsi()) {
      if (!shape.msi!.maskable) return false;
      const masks = config.read(this.msiRegister(pci.PCI_MSI_MASK_64, pci.PCI_MSI_MASK_32), 4);
      return ((masks >>> vector) & 1) !== 0;
    }
    const flags = config.read(config.find(pci.PCI_CAP_ID_MSIX)!.offset + pci.PCI_MSIX_FLAGS, 2);
    if ((flags & pci.PCI_MSIX_FLAGS_MASKALL) !== 0) return true;
    const entry = shape.msix!.tableOffset + vector * pci.PCI_MSIX_ENTRY_SIZE;
    const control = this.memory(shape.msix!.bar).readUInt32LE(entry + pci.PCI_MSIX_ENTRY_VECTOR_CTRL);
    return (control & pci.PCI_MSIX_ENTRY_CTRL_MASKBIT) !== 0;
  }

  private msiRegister(wide: number, narrow: number): number {
    const { config } = this.source;
    const at = config.find(pci.PCI_CAP_ID_MSI)!.offset;
    return at + (config.read(at + pci.PCI_MSI_FLAGS, 2) & pci.PCI_MSI_FLAGS_64BIT ? wide : narrow);
  }

  private showPending(vector: number, on: boolean): void {
    const { shape, config } = this.source;
    const [bytes, offset] = this.usesMsi()
      ? [config.bytes, this.msiRegister(pci.PCI_MSI_PENDING_64, pci.PCI_MSI_PENDING_32)]
      : [this.memory(shape.msix!.pbaBar ?? shape.msix!.bar), shape.msix!.pbaOffset];
    const at = offset + (vector >> 3);
    const bit = 1 << (vector & 7);
    bytes[at] = on ? bytes[at]! | bit : bytes[at]! & ~bit;
  }

  /** Status shows the level whether or not INTx is disabled (check_and_mask relies on it); the line does not. */
  private driveLine(): void {
    const { config, sinks } = this.source;
    const before = config.bytes[pci.PCI_STATUS]!;
    config.bytes[pci.PCI_STATUS] = this.level
      ? before | pci.PCI_STATUS_INTERRUPT
      : before & ~pci.PCI_STATUS_INTERRUPT;
    if (this.held) return;
    const line = this.level && (config.read(pci.PCI_COMMAND, 2) & pci.PCI_COMMAND_INTX_DISABLE) === 0;
    if (line === this.line) return;
    this.line = line;
    sinks.intx?.(line);
  }
}
