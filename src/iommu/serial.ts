import type { MaybeAsync } from '../vfs/caller.js';

/**
 * One at a time, in order: the kernel's mutex around a container's or an address space's state (vfio_iommu.lock,
 * io_pagetable.iova_rwsem). Pinning waits for client memory inside it, as get_user_pages() does.
 */
export class Serial {
  private tail: Promise<unknown> = Promise.resolve();

  run<T>(task: () => MaybeAsync<T>): Promise<T> {
    const result = this.tail.then(task);
    // The failure is the caller's, by `result`; the next in line only needs to know that the turn is over.
    this.tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}
