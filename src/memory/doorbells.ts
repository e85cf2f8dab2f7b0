/** Watches the doorbells of functions that clients may map, and tells their models of stores made through mappings. */
import type { WatchedRegister } from '../devices/contract.js';
import type { HostChange } from '../host/events.js';
import type { PciFunction } from '../host/pci-function.js';
import { native, type PageWatcher } from '../native/index.js';
import type { MemfdProvider } from './memfds.js';

/** No release tells of the end of a mapping that outlives its descriptor. */
const LOOK_AGAIN = 1000;

interface Watched {
  readonly bar: number;
  readonly registers: readonly WatchedRegister[];
  readonly watcher: PageWatcher;
}

export class Doorbells {
  private readonly watchers = new Map<PciFunction, readonly Watched[]>();
  private readonly timers = new Map<PciFunction, NodeJS.Timeout>();

  constructor(private readonly memory: MemfdProvider) {}

  /** Starts with the first open of a function's VFIO device or `resourceN` and stops with the last use: no polling while idle. */
  changed(change: HostChange): void {
    // A function of another shape has another model.
    if (change.kind === 'function-removed' || change.kind === 'function-reshaped')
      this.forget(change.function);
    else if (change.kind === 'vfio-changed' || change.kind === 'bar-lent') this.look(change.function);
  }

  settle(fn: PciFunction, register: WatchedRegister): void {
    for (const { bar, registers, watcher } of this.watchers.get(fn) ?? []) {
      if (bar !== register.bar) continue;
      const index = registers.findIndex(
        ({ offset, width }) => offset === register.offset && width === register.width,
      );
      if (index >= 0) watcher.settle(index);
    }
  }

  close(): void {
    for (const fn of [...this.watchers.keys()]) this.forget(fn);
  }

  private look(fn: PciFunction): void {
    const lent = fn.present && !fn.held && fn.lent;
    const active = fn.present && (fn.held || lent);
    if (active && !this.watchers.has(fn)) this.watchers.set(fn, this.create(fn));
    const watched = this.watchers.get(fn) ?? [];
    for (const { watcher } of watched) {
      if (active) {
        watcher.start();
        watcher.kick();
      } else watcher.stop();
    }
    clearTimeout(this.timers.get(fn));
    if (lent && watched.length > 0) this.timers.set(fn, setTimeout(() => this.look(fn), LOOK_AGAIN).unref());
    else this.timers.delete(fn);
  }

  private forget(fn: PciFunction): void {
    for (const { watcher } of this.watchers.get(fn) ?? []) watcher.close();
    this.watchers.delete(fn);
    clearTimeout(this.timers.get(fn));
    this.timers.delete(fn);
  }

  private create(fn: PciFunction): Watched[] {
    const attached = fn.model;
    if (!attached) return [];
    const bars = new Set(attached.watched.map(({ bar }) => bar));
    return [...bars].map((bar) => {
      const registers = attached.watched.filter((register) => register.bar === bar);
      const memory = this.memory.mappingOf(fn.bars[bar]!.memory!);
      if (!memory) throw new Error(`${fn.bdf} BAR${bar}: not memory of ours`);
      const watcher = native().watch(memory, registers, (index) => {
        const { offset, width } = registers[index]!;
        attached.model.written?.(bar, offset, width, 'mapped');
      });
      return { bar, registers, watcher };
    });
  }
}
