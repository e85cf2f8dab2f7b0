/** What a device model is given: DMA through whoever holds the function, interrupts, its registers' memory, time. */
import { PCI_COMMAND, PCI_COMMAND_MASTER } from '../abi/pci/index.js';
import {
  type DeviceContext,
  type Dma,
  type DmaByPasid,
  DmaFault,
  type Interrupts,
  type WatchedRegister,
} from '../devices/contract.js';
import type { ConfigSpace } from './config-space.js';
import type { FunctionSinks } from './pci-function.js';

export interface ContextSource {
  readonly config: ConfigSpace;
  readonly sinks: FunctionSinks;
  /** Memory of BAR `bar`, without waking the model. Throws for what is no memory BAR. */
  readonly memory: { of(bar: number): Buffer };
  settled(register: WatchedRegister): void;
  log(message: string): void;
}

const clock: DeviceContext['clock'] = {
  now: () => performance.now(),
  after(milliseconds, run) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};

export function deviceContext(source: ContextSource, interrupts: Interrupts): DeviceContext {
  const reach = (iova: bigint, access: 'read' | 'write'): DmaByPasid => {
    if ((source.config.read(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) === 0)
      throw new DmaFault(iova, access, 'bus mastering is off');
    if (!source.sinks.dma) throw new DmaFault(iova, access, 'no address space');
    return source.sinks.dma;
  };
  const through = (choose: (dma: DmaByPasid) => Dma): Dma => ({
    read: (iova, length) => choose(reach(iova, 'read')).read(iova, length),
    write: (iova, data) => choose(reach(iova, 'write')).write(iova, data),
    copy: (destination, from, length) => choose(reach(from, 'read')).copy(destination, from, length),
  });
  return {
    dma: {
      ...through((dma) => dma),
      withPasid: (pasid) => through((dma) => dma.withPasid(pasid)),
    },
    interrupts,
    memory: (bar) => source.memory.of(bar),
    settled: (register) => source.settled(register),
    clock,
    log: (message) => source.log(message),
  };
}
