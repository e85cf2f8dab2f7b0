/**
 * `ioat`: the DMA engine of Intel server processors (I/OAT, Crystal Beach DMA 3.3) as Sky Lake-E shows it. Driven by DPDK
 * (drivers/dma/ioat), Linux (drivers/dma/ioat) and SPDK; no data sheet beyond what these drivers rely on.
 */
import type { ModelDefinition } from '../contract.js';
import { IoatModel, type IoatOptions } from './model.js';
import { STATE_VERSION } from './saved-state.js';

const BAR_SIZE = 0x4000;
const MSIX_TABLE = 0x2000;
const MSIX_PBA = 0x3000;
const LIMITS = {
  channels: { minimum: 1, maximum: 8, default: 1 },
  xfercap: { minimum: 12, maximum: 24, default: 20 },
} as const;

export const ioat: ModelDefinition = {
  name: 'ioat',
  description: 'Intel I/OAT DMA engine (Sky Lake-E CBDMA 3.3): copy and fill over descriptor chains',
  optionsSchema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      channels: {
        type: 'integer',
        ...LIMITS.channels,
        description: 'DMA channels, each with an MSI-X vector',
      },
      xfercap: {
        type: 'integer',
        ...LIMITS.xfercap,
        description: 'log2 of the largest transfer of one descriptor',
      },
    },
  },
  stateVersion: STATE_VERSION,
  shape(options) {
    const { channels } = readOptions(options);
    return {
      vendor: 0x8086,
      device: 0x2021,
      subsystemVendor: 0x8086,
      subsystemDevice: 0x0000,
      classCode: 0x088000,
      revision: 0x04,
      bars: [{ index: 0, kind: 'memory64', size: BAR_SIZE }],
      msix: { vectors: channels, bar: 0, tableOffset: MSIX_TABLE, pbaOffset: MSIX_PBA },
      interruptPin: 1,
      pcie: { type: 'endpoint', flr: true },
    };
  },
  create(context, options) {
    const read = readOptions(options);
    const table = [MSIX_TABLE, MSIX_TABLE + 16 * read.channels] as const;
    const pending = [MSIX_PBA, MSIX_PBA + 8] as const;
    return new IoatModel(context, read, [table, pending]);
  },
};

function readOptions(options: Record<string, unknown>): IoatOptions {
  return { channels: integer(options, 'channels'), xfercap: integer(options, 'xfercap') };
}

function integer(options: Record<string, unknown>, name: keyof typeof LIMITS): number {
  const { minimum, maximum, default: value } = LIMITS[name];
  const given = options[name] ?? value;
  if (typeof given === 'number' && Number.isInteger(given) && given >= minimum && given <= maximum)
    return given;
  throw new RangeError(
    `ioat: ${name} is an integer from ${minimum} to ${maximum}, not ${JSON.stringify(given)}`,
  );
}
