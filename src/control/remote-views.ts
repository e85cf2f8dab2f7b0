/** The views of a machine in another process, asked for over its control socket. */
import { closeSync } from 'node:fs';
import type { ViewShape } from '../run/shape.js';
import type { ViewServer } from '../run/supervise.js';
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

  async serve(fd: number, beside: Beside): Promise<void> {
    try {
      await this.client.call('view.serve', { pid: process.pid, fd, beside });
    } finally {
      // The host has its own. While anybody else holds one, clients of a host that was killed would wait for its answers.
      closeSync(fd);
    }
  }
}
