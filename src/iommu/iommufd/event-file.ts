/** Descriptors that tell of events: what fault queues and vIOMMU event queues share (drivers/iommu/iommufd/eventq.c). */
import type { OpenFile } from '../../vfs/node.js';
import { Poll } from '../../vfs/node.js';

export class Pollers {
  private waiting: (() => void)[] = [];

  add(wake: () => void): void {
    this.waiting.push(wake);
  }

  wake(): void {
    const woken = this.waiting;
    this.waiting = [];
    for (const wake of woken) wake();
  }
}

export interface EventSource {
  readonly pollers: Pollers;
  readonly pending: boolean;
  /** Adds one user for the descriptor. */
  users: number;
}

/** What every such file does beside reading and writing. `closed` runs at the last close. */
export function eventFile(
  source: EventSource,
  name: string,
  anonymous: string,
  own: Pick<OpenFile, 'read' | 'write'>,
  closed: () => void,
): OpenFile {
  const always = own.write ? Poll.OUT : 0;
  return {
    stream: true,
    anonymous,
    ...own,
    poll(wake) {
      if (!source.pending) source.pollers.add(wake);
      return always | (source.pending ? Poll.IN : 0);
    },
    release: closed,
    describe: () => name,
  };
}
