/** The views of a machine in another process, asked for over its control socket. */
import type { ViewShape } from '../run/shape.js';
import type { Mappable, ViewServer } from '../run/supervise.js';
import type { Beside } from '../run/view.js';
import type { ControlClient } from './client.js';

export class RemoteViews implements ViewServer {
  constructor(
    /** The host's process, in this process's pid namespace. */
    readonly pid: number,
    private readonly client: ControlClient,
  ) {}

  shape(): Promise<ViewShape> {
    return this.client.call('view.shape') as Promise<ViewShape>;
  }

  serve(pid: number, fd: number, beside: Beside): Promise<Mappable> {
    return this.client.call('view.serve', { pid, fd, beside }) as Promise<Mappable>;
  }
}
