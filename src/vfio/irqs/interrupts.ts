/** All interrupts of an open device, and what SET_IRQS does to them. At most one of INTx, MSI and MSI-X is on. */
import { refuse } from '../../abi/errno.js';
import { PCI_CAP_ID_EXP } from '../../abi/pci/index.js';
import { IrqAction, IrqIndex } from '../../abi/vfio/index.js';
import type { PciFunction } from '../../host/pci-function.js';
import { msiVectors, msixTable } from './available.js';
import { Intx } from './intx.js';
import { type MessageKind, Messages } from './messages.js';
import type { IrqRequest } from './request.js';
import { SingleTrigger } from './single.js';

type Handler = (irqs: Interrupts, request: IrqRequest) => void;

export class Interrupts {
  readonly intx: Intx;
  readonly messages: Messages;
  readonly err = new SingleTrigger();
  readonly req = new SingleTrigger();

  constructor(
    readonly fn: PciFunction,
    /** The interrupt-pin byte the client sees. */
    private readonly interruptPin: () => number,
  ) {
    this.intx = new Intx(fn);
    this.messages = new Messages(fn);
  }

  /** The type that is on now. */
  get current(): 'intx' | MessageKind | undefined {
    return this.intx.enabled ? 'intx' : this.messages.current;
  }

  /** vfio_pci_get_irq_count(); 0 for what the device lacks. */
  available(index: number): number {
    switch (index) {
      case IrqIndex.INTX:
        return this.interruptPin() === 0 ? 0 : 1;
      case IrqIndex.MSI:
        return msiVectors(this.fn);
      case IrqIndex.MSIX:
        return msixTable(this.fn)?.vectors ?? 0;
      case IrqIndex.ERR:
        return this.fn.config.find(PCI_CAP_ID_EXP) ? 1 : 0;
      default:
        return index === IrqIndex.REQ ? 1 : 0;
    }
  }

  /** vfio_pci_set_irqs_ioctl(): ENOTTY for a combination without a handler. */
  set(request: IrqRequest): void {
    const handler = handlers.get(request.index)?.get(request.action);
    if (!handler) refuse('ENOTTY', `interrupt index ${request.index} has no such action`);
    handler(this, request);
  }

  /** vfio_pci_core_request(): please let go of the device. */
  requestRelease(): void {
    this.req.signal();
  }

  /** Last close: nothing stays enabled, no eventfd held. */
  close(): void {
    if (this.intx.enabled) this.intx.disable();
    if (this.messages.current) this.messages.disable();
    this.err.replace(undefined);
    this.req.replace(undefined);
  }
}

function requireIntx({ intx }: Interrupts, { start, count }: IrqRequest): void {
  if (!intx.enabled || start !== 0 || count !== 1)
    refuse('EINVAL', 'INTx is not enabled, or not exactly one is meant');
}

const maskIntx: Handler = (irqs, request) => {
  requireIntx(irqs, request);
  const { data } = request;
  if (data.kind === 'eventfd') refuse('ENOTTY', 'INTx is not masked by eventfd');
  if (data.kind === 'none' || data.values[0]) irqs.intx.mask();
};

const unmaskIntx: Handler = (irqs, request) => {
  requireIntx(irqs, request);
  const { data } = request;
  if (data.kind === 'eventfd') {
    const fd = data.fds[0]!;
    irqs.intx.setUnmasker(fd < 0 ? undefined : request.take(fd));
  } else if (data.kind === 'none' || data.values[0]) irqs.intx.unmask();
};

const triggerIntx: Handler = (irqs, { start, count, data, take }) => {
  const { intx } = irqs;
  if (intx.enabled && count === 0 && data.kind === 'none') return intx.disable();
  if (!(intx.enabled || irqs.current === undefined) || start !== 0 || count !== 1)
    refuse('EINVAL', 'another interrupt type is on, or not exactly one is meant');
  if (data.kind === 'eventfd') {
    const fd = data.fds[0]!;
    const trigger = fd < 0 ? undefined : take(fd);
    if (intx.enabled) return intx.replaceTrigger(trigger);
    try {
      intx.enable(trigger);
    } catch (error) {
      trigger?.close();
      throw error;
    }
    return;
  }
  if (!intx.enabled) refuse('EINVAL', 'INTx is not enabled');
  if (data.kind === 'none' || data.values[0]) intx.signal();
};

function triggerMessages(kind: MessageKind): Handler {
  return (irqs, { start, count, data, take }) => {
    const { messages } = irqs;
    if (messages.current === kind && count === 0 && data.kind === 'none') return messages.disable();
    if (irqs.current !== kind && irqs.current !== undefined) refuse('EINVAL', `${irqs.current} is enabled`);
    if (data.kind === 'eventfd') {
      const enabling = messages.current === undefined;
      if (enabling) messages.enable(kind, start + count);
      try {
        messages.setBlock(start, data.fds, take);
      } catch (error) {
        if (enabling) messages.disable();
        throw error;
      }
      return;
    }
    if (messages.current !== kind) refuse('EINVAL', `${kind} is not enabled`);
    for (let i = 0; i < count; i++) if (data.kind === 'none' || data.values[i]) messages.signal(start + i);
  };
}

const handlers: ReadonlyMap<number, ReadonlyMap<number, Handler>> = new Map([
  [
    IrqIndex.INTX,
    new Map<number, Handler>([
      [IrqAction.MASK, maskIntx],
      [IrqAction.UNMASK, unmaskIntx],
      [IrqAction.TRIGGER, triggerIntx],
    ]),
  ],
  [IrqIndex.MSI, new Map([[IrqAction.TRIGGER, triggerMessages('msi')]])],
  [IrqIndex.MSIX, new Map([[IrqAction.TRIGGER, triggerMessages('msix')]])],
  [IrqIndex.ERR, new Map<number, Handler>([[IrqAction.TRIGGER, (irqs, request) => irqs.err.set(request)]])],
  [IrqIndex.REQ, new Map<number, Handler>([[IrqAction.TRIGGER, (irqs, request) => irqs.req.set(request)]])],
]);
