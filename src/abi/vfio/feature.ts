/** VFIO_DEVICE_FEATURE (linux/vfio.h): the frame, every feature's number, and the payloads. */
import { bytes, s32, struct, u32, u64 } from '../struct.js';

/** The payload starts at byte 8. */
export const deviceFeature = struct('vfio_device_feature', { argsz: u32, flags: u32 }, { size: 8 });
export const FeatureFlag = { NUMBER: 0xffff, GET: 1 << 16, SET: 1 << 17, PROBE: 1 << 18 } as const;

export const Feature = {
  PCI_VF_TOKEN: 0,
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  MIG_PRECOPY_INFOv2: 12,
} as const;

/** Payload of PCI_VF_TOKEN, in the order of the UUID's text; the header has no name for it. */
export const vfToken = struct('pci_vf_token', { uuid: bytes(16) }, { size: 16 });

export const lowPowerEntryWithWakeup = struct(
  'vfio_device_low_power_entry_with_wakeup',
  { wakeupEventfd: s32, reserved: u32 },
  { size: 8 },
);

export const featureMigration = struct('vfio_device_feature_migration', { flags: u64 }, { size: 8 });
export const MigrationFlag = { STOP_COPY: 1 << 0, P2P: 1 << 1, PRE_COPY: 1 << 2 } as const;

/** `dataFd` is the answer: a new descriptor, or -1. */
export const featureMigState = struct(
  'vfio_device_feature_mig_state',
  { deviceState: u32, dataFd: s32 },
  { size: 8 },
);
/** enum vfio_device_mig_state. */
export const MigState = {
  ERROR: 0,
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
} as const;

export const featureMigDataSize = struct(
  'vfio_device_feature_mig_data_size',
  { stopCopyLength: u64 },
  { size: 8 },
);

/** Ranges of one BAR; `nrRanges` vfio_region_dma_range follow. */
export const featureDmaBuf = struct(
  'vfio_device_feature_dma_buf',
  { regionIndex: u32, openFlags: u32, flags: u32, nrRanges: u32 },
  { size: 16 },
);
export const regionDmaRange = struct('vfio_region_dma_range', { offset: u64, length: u64 }, { size: 16 });

/** On the data_fd that saves: VFIO_MIG_GET_PRECOPY_INFO. */
export const precopyInfo = struct(
  'vfio_precopy_info',
  { argsz: u32, flags: u32, initialBytes: u64, dirtyBytes: u64 },
  { size: 24 },
);

/** `ranges` points to `numRanges` dmaLoggingRange. */
export const dmaLoggingControl = struct(
  'vfio_device_feature_dma_logging_control',
  { pageSize: u64, numRanges: u32, reserved: u32, ranges: u64 },
  { size: 24 },
);
export const dmaLoggingRange = struct(
  'vfio_device_feature_dma_logging_range',
  { iova: u64, length: u64 },
  { size: 16 },
);
/** `bitmap` points to u64 words; bit n stands for iova + n * pageSize. */
export const dmaLoggingReport = struct(
  'vfio_device_feature_dma_logging_report',
  { iova: u64, length: u64, pageSize: u64, bitmap: u64 },
  { size: 32 },
);
