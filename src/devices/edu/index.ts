/**
 * `edu`: QEMU's educational device (docs/specs/edu.rst): every student's first driver is for it, and a real kernel can be asked about it in
 * any virtual machine (test/oracle). Conventional PCI, INTx or one MSI.
 */
import type { ModelDefinition } from '../contract.js';
import { EduModel } from './model.js';
import { BAR_SIZE, DMA_MASK } from './registers.js';

export const edu: ModelDefinition = {
  name: 'edu',
  description:
    "QEMU's educational device: factorials, interrupts by INTx or MSI, and DMA to and from a buffer of 4 KiB",
  optionsSchema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      dma_mask: {
        type: 'integer',
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        default: DMA_MASK,
        description: 'address bits that its DMA has; the others are dropped',
      },
    },
  },
  shape: () => ({
    vendor: 0x1234,
    device: 0x11e8,
    subsystemVendor: 0x1af4,
    subsystemDevice: 0x1100,
    classCode: 0x00ff00,
    revision: 0x10,
    bars: [{ index: 0, kind: 'memory32', size: BAR_SIZE }],
    msi: { vectors: 1 },
    interruptPin: 1,
  }),
  create: (context, { dma_mask = DMA_MASK }) => new EduModel(context, readMask(dma_mask)),
};

function readMask(mask: unknown): bigint {
  if (typeof mask === 'number' && Number.isSafeInteger(mask) && mask >= 0) return BigInt(mask);
  throw new RangeError(`edu: dma_mask is an integer from 0, not ${JSON.stringify(mask)}`);
}
