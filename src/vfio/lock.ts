/**
 * A mutex for handlers that may await (client memory, pinning): bodies run one at a time, in order of arrival, as under the kernel's
 * group_lock, container->group_lock and dev_set->lock. Without contention a synchronous body stays synchronous.
 */
import type { MaybeAsync } from '../vfs/caller.js';

const nothing = (): void => {};

export class Lock {
  private tail: Promise<void> | undefined;

  /** Not reentrant: an asynchronous body must not take the same lock again. */
  run<T>(body: () => MaybeAsync<T>): MaybeAsync<T> {
    const result = this.tail ? this.tail.then(body) : body();
    if (result instanceof Promise) this.holdUntil(result);
    return result;
  }

  private holdUntil(running: Promise<unknown>): void {
    const done = running.then(nothing, nothing).then(() => {
      if (this.tail === done) this.tail = undefined;
    });
    this.tail = done;
  }
}
