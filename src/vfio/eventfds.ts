/** The eventfds of clients that VFIO holds, counted, so that a leak shows. */
import { refuse } from '../abi/errno.js';
import type { Caller, EventFd } from '../vfs/caller.js';

export class EventFds {
  private held = 0;

  get count(): number {
    return this.held;
  }

  /** eventfd_ctx_fdget(): EBADF when `fd` is not open, EINVAL when it is no eventfd. */
  take(caller: Caller, fd: number): EventFd {
    if (fd < 0) refuse('EBADF', `descriptor ${fd} is not open`);
    const copy = caller.eventfd(fd);
    this.held++;
    return {
      signal: () => copy.signal(),
      listen: (listener) => copy.listen(listener),
      heldByClient: () => copy.heldByClient(),
      close: () => {
        this.held--;
        copy.close();
      },
    };
  }
}
