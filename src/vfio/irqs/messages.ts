/** MSI and MSI-X of an open device (vfio_msi_enable() and following): one eventfd per vector. */
import { refuse } from '../../abi/errno.js';
import type { MessageKind } from '../../host/messages.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { EventFd } from '../../vfs/caller.js';

export type { MessageKind };

export class Messages {
  private kind: MessageKind | undefined;
  private allocated = 0;
  private lastQueueSize = 0;
  private readonly triggers = new Map<number, EventFd>();

  constructor(private readonly fn: PciFunction) {}

  get current(): MessageKind | undefined {
    return this.kind;
  }

  /** log2 of the vectors MSI was last enabled with: msi_qmax. */
  get queueSize(): number {
    return this.lastQueueSize;
  }

  /** pci_alloc_irq_vectors(): ERANGE for none. INTx is off while messages are on. */
  enable(kind: MessageKind, vectors: number): void {
    if (vectors === 0) refuse('ERANGE', 'no vector to enable');
    this.kind = kind;
    this.allocated = vectors;
    if (kind === 'msi') this.lastQueueSize = Math.ceil(Math.log2(vectors));
    this.fn.messages.enable(kind, vectors);
  }

  disable(): void {
    for (const trigger of this.triggers.values()) trigger.close();
    this.triggers.clear();
    this.fn.messages.disable();
    this.kind = undefined;
  }

  /**
   * Vectors start… get their eventfds in order (vfio_msi_set_block()); `take` is asked where the descriptor is not negative. A failure
   * leaves all of them, up to the failing one, without a handler.
   */
  setBlock(start: number, fds: readonly number[], take: (fd: number) => EventFd): void {
    for (const [i, fd] of fds.entries()) {
      this.clear(start + i);
      if (fd < 0) continue;
      try {
        // MSI-X vectors are allocated on demand (pci_msix_alloc_irq_at()), MSI's only all at once.
        if (this.kind === 'msi' && start + i >= this.allocated)
          refuse('EINVAL', `vector ${start + i} is beyond the ${this.allocated} enabled`);
        this.fn.messages.add(start + i);
        this.triggers.set(start + i, take(fd));
      } catch (error) {
        for (let done = 0; done < i; done++) this.clear(start + done);
        throw error;
      }
    }
  }

  /** A message from the device, or loopback; without an eventfd it is dropped. */
  signal(vector: number): void {
    this.triggers.get(vector)?.signal();
  }

  private clear(vector: number): void {
    this.triggers.get(vector)?.close();
    this.triggers.delete(vector);
  }
}
