/** A PCI serial card with one or two ports, with the ids of the kernel's sample of a mediated device (samples/vfio-mdev/mtty.c); PCIe, so that it can be reset. */
import type { DeviceContext, DeviceModel, ModelDefinition } from '../contract.js';
import { Uart } from './uart.js';

interface SerialOptions {
  readonly ports?: number;
}

const PORT_SIZE = 8;

export const serial: ModelDefinition<SerialOptions> = {
  name: 'serial',
  description: 'PCI serial card: 16550 ports that hear what they send',
  optionsSchema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      ports: { type: 'integer', minimum: 1, maximum: 2, description: '1 or 2 ports; default 1' },
    },
  },
  shape: ({ ports = 1 }) => ({
    vendor: 0x4348,
    device: 0x3253,
    subsystemVendor: 0x4348,
    subsystemDevice: 0x3253,
    classCode: 0x070002,
    revision: 0x10,
    bars: Array.from({ length: ports }, (_, index) => ({ index, kind: 'io', size: PORT_SIZE }) as const),
    msi: { vectors: 1 },
    interruptPin: 1,
    pcie: { type: 'endpoint', flr: true },
  }),
  create: (context, { ports = 1 }) => new SerialCard(context, ports),
};

class SerialCard implements DeviceModel {
  private readonly uarts: readonly Uart[];
  private asserted = false;

  constructor(
    private readonly context: DeviceContext,
    ports: number,
  ) {
    this.uarts = Array.from({ length: ports }, () => new Uart());
  }

  /** Registers are bytes: a wider access is that many. */
  portRead(bar: number, offset: number, width: number): number {
    let value = 0;
    for (let i = 0; i < width; i++) value += this.uarts[bar]!.read(offset + i) * 2 ** (8 * i);
    this.interrupt();
    return value;
  }

  portWrite(bar: number, offset: number, width: number, value: number): void {
    for (let i = 0; i < width; i++)
      this.uarts[bar]!.write(offset + i, Math.floor(value / 2 ** (8 * i)) & 0xff);
    this.interrupt();
  }

  reset(): void {
    for (const uart of this.uarts) uart.reset();
    this.interrupt();
  }

  /** A level as INTx, its rise as a message. */
  private interrupt(): void {
    const pending = this.uarts.some((uart) => uart.pending);
    if (pending === this.asserted) return;
    this.asserted = pending;
    const { interrupts } = this.context;
    if (interrupts.mode === 'intx') interrupts.intx(pending);
    else if (pending) interrupts.msi(0);
  }
}
