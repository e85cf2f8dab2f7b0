/** ERR and REQ: one eventfd each (vfio_pci_set_ctx_trigger_single()). */
import { refuse } from '../../abi/errno.js';
import type { EventFd } from '../../vfs/caller.js';
import type { IrqRequest } from './request.js';

export class SingleTrigger {
  private eventfd: EventFd | undefined;

  signal(): void {
    this.eventfd?.signal();
  }

  replace(eventfd: EventFd | undefined): void {
    this.eventfd?.close();
    this.eventfd = eventfd;
  }

  /** SET_IRQS TRIGGER. */
  set({ count, data, take }: IrqRequest): void {
    if (data.kind === 'none') {
      if (!this.eventfd) refuse('EINVAL', 'no eventfd is set');
      if (count > 0) this.eventfd.signal();
      else this.replace(undefined);
      return;
    }
    if (count === 0) refuse('EINVAL', 'count 0 with data');
    if (data.kind === 'bool') {
      if (data.values[0]) this.signal();
      return;
    }
    const fd = data.fds[0]!;
    if (fd < -1) refuse('EINVAL', `descriptor ${fd}`);
    this.replace(fd === -1 ? undefined : take(fd));
  }
}
