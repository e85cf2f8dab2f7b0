/** MSI and MSI-X as the kernel hands them to drivers: which are on, and the Linux interrupt numbers they have (drivers/pci/msi). */
import * as pci from '../abi/pci/index.js';
import type { ConfigSpace } from './config-space.js';
import { Numbers } from './numbers.js';

export type MessageKind = 'msi' | 'msix';

/** Interrupt numbers below are the pins of the IOAPIC. */
const firstNumber = 24;

/** Numbers of one machine. */
export class IrqNumbers extends Numbers {
  /** `remapped`: messages name an entry of Intel's interrupt-remapping table, not a CPU and its vector. */
  constructor(readonly remapped: boolean) {
    super(firstNumber);
  }
}

/** pci_intx(): lets a function drive its line, or not. */
export function allowLine(config: ConfigSpace, allowed: boolean): void {
  const command = config.read(pci.PCI_COMMAND, 2);
  const off = pci.PCI_COMMAND_INTX_DISABLE;
  const wanted = allowed ? command & ~off : command | off;
  if (wanted !== command) config.write(pci.PCI_COMMAND, 2, wanted);
}

/** What one function's driver has allocated. */
export class MessageVectors {
  private current: MessageKind | undefined;
  private readonly numbers = new Map<number, number>();

  constructor(
    /** PciFunction.configure() */
    private readonly configure: (change: (config: ConfigSpace) => void) => void,
    private readonly pool: IrqNumbers,
    /** Told once there are vectors, or none any more. */
    private readonly changed: () => void = () => {},
  ) {}

  get kind(): MessageKind | undefined {
    return this.current;
  }

  /** Linux interrupt number of each allocated vector: names in msi_irqs/. */
  get irqs(): ReadonlyMap<number, number> {
    return this.numbers;
  }

  /** pci_alloc_irq_vectors(): vectors 0…count - 1; the line is off while messages are on. The function has the capability. */
  enable(kind: MessageKind, count: number): void {
    this.current = kind;
    for (let vector = 0; vector < count; vector++) this.add(vector);
    const first = this.numbers.get(0)!;
    this.configure((config) => {
      const flags = flagsOf(config, kind);
      // Whoever masked it before, through sysfs, does not count any more (msix_capability_init(), msi_capability_init()).
      if (kind === 'msix') change(config, flags, pci.PCI_MSIX_FLAGS_MASKALL, pci.PCI_MSIX_FLAGS_ENABLE);
      else {
        this.writeMessage(config, first);
        unmaskMessages(config, flags);
        const queueSize = Math.ceil(Math.log2(count)) << 4;
        change(config, flags, pci.PCI_MSI_FLAGS_QSIZE, queueSize | pci.PCI_MSI_FLAGS_ENABLE);
      }
      allowLine(config, false);
    });
    this.changed();
  }

  /** One more MSI-X vector while they are on (pci_msix_alloc_irq_at()); nothing when it is there. */
  add(vector: number): void {
    if (!this.numbers.has(vector)) this.numbers.set(vector, this.pool.take());
  }

  /** pci_free_irq_vectors(). */
  disable(): void {
    const kind = this.current;
    if (!kind) return;
    const enabled =
      kind === 'msix' ? pci.PCI_MSIX_FLAGS_ENABLE : pci.PCI_MSI_FLAGS_ENABLE | pci.PCI_MSI_FLAGS_QSIZE;
    this.configure((config) => {
      change(config, flagsOf(config, kind), enabled, 0);
      allowLine(config, true);
    });
    this.forget();
  }

  /** The function has left the machine: its numbers are free, its registers nobody's. */
  forget(): void {
    for (const number of this.numbers.values()) this.pool.release(number);
    this.numbers.clear();
    this.current = undefined;
    this.changed();
  }

  /** Where MSI goes: the remapping entry of that number (VT-d 5.1.2.2), or a vector of CPU 0 (Intel SDM 11.11). */
  private writeMessage(config: ConfigSpace, number: number): void {
    const at = config.find(pci.PCI_CAP_ID_MSI)!.offset;
    const remappable = 0x18;
    const [address, data] = this.pool.remapped
      ? [0xfee0_0000 + (((number & 0x7fff) << 5) | remappable), 0]
      : [0xfee0_0000, 0x4020 + (number % 0xc0)];
    config.write(at + pci.PCI_MSI_ADDRESS_LO, 4, address);
    const wide = (config.read(at + pci.PCI_MSI_FLAGS, 2) & pci.PCI_MSI_FLAGS_64BIT) !== 0;
    if (wide) config.write(at + pci.PCI_MSI_ADDRESS_HI, 4, 0);
    config.write(at + (wide ? pci.PCI_MSI_DATA_64 : pci.PCI_MSI_DATA_32), 2, data);
  }
}

function flagsOf(config: ConfigSpace, kind: MessageKind): number {
  const [id, register] =
    kind === 'msi' ? [pci.PCI_CAP_ID_MSI, pci.PCI_MSI_FLAGS] : [pci.PCI_CAP_ID_MSIX, pci.PCI_MSIX_FLAGS];
  return config.find(id)!.offset + register;
}

function unmaskMessages(config: ConfigSpace, flags: number): void {
  const control = config.read(flags, 2);
  const at = flags - pci.PCI_MSI_FLAGS;
  if (control & pci.PCI_MSI_FLAGS_MASKBIT)
    config.write(at + (control & pci.PCI_MSI_FLAGS_64BIT ? pci.PCI_MSI_MASK_64 : pci.PCI_MSI_MASK_32), 4, 0);
}

function change(config: ConfigSpace, at: number, clear: number, set: number): void {
  config.write(at, 2, (config.read(at, 2) & ~clear) | set);
}
