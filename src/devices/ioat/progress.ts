/** How far a channel has come in its chain, and what its driver has told it since. */
import type { Operation } from './chain.js';

export interface SavedProgress extends Pick<Progress, 'head' | 'completed' | 'count' | 'done'> {
  readonly flags: Pick<Progress, 'completionDue' | 'halted' | 'suspended' | 'armed' | 'recovered'>;
}

export class Progress {
  /** Descriptors asked for and done since CHAINADDR, modulo 2^16. */
  count = 0;
  done = 0;
  head = 0n;
  /** Address of the last completed descriptor; 0 in a new chain. */
  completed = 0n;
  /** A descriptor with COMPL_WRITE is done, and CHANCMP not written since: neighbours share one write. */
  completionDue = false;
  halted = false;
  suspended = false;
  /** CHAINADDR was written and no doorbell rang since. */
  armed = false;
  /** The chain follows an error, and no doorbell rang since: __ioat_recover() of DPDK wants to see it armed. */
  recovered = false;

  get pending(): number {
    return (this.count - this.done) & 0xffff;
  }

  /** There is something to do, and nothing that forbids it. */
  get runnable(): boolean {
    return this.pending > 0 && !this.halted && !this.suspended;
  }

  begin(head: bigint): void {
    this.head = head;
    this.count = 0;
    this.done = 0;
    this.completed = 0n;
    this.completionDue = false;
    this.recovered ||= this.halted;
    this.halted = false;
    this.suspended = false;
    this.armed = true;
  }

  rung(count: number): void {
    this.count = count;
    this.armed = false;
    this.recovered = false;
  }

  advance(operation: Operation): void {
    this.done = (this.done + operation.descriptors) & 0xffff;
    this.completed = operation.last;
    if (operation.completionWrite) this.completionDue = true;
  }

  /** Power-on state. */
  reset(): void {
    this.begin(0n);
    this.armed = false;
    this.recovered = false;
  }

  save(): SavedProgress {
    const { head, completed, count, done } = this;
    const { completionDue, halted, suspended, armed, recovered } = this;
    return { head, completed, count, done, flags: { completionDue, halted, suspended, armed, recovered } };
  }

  load({ head, completed, count, done, flags }: SavedProgress): void {
    const { completionDue, halted, suspended, armed, recovered } = flags;
    Object.assign(this, { head, completed, count, done });
    Object.assign(this, { completionDue, halted, suspended, armed, recovered });
  }
}
