/** VFIO_DEVICE_FEATURE (linux/vfio.h): the frame and the payloads that vfio-pci itself answers. */
import { bytes, s32, struct, u32 } from '../struct.js';

/** The payload starts at byte 8. */
export const deviceFeature = struct('vfio_device_feature', { argsz: u32, flags: u32 }, { size: 8 });
export const FeatureFlag = { NUMBER: 0xffff, GET: 1 << 16, SET: 1 << 17, PROBE: 1 << 18 } as const;

export const Feature = {
  PCI_VF_TOKEN: 0,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  MIG_PRECOPY_INFOv2: 12,
} as const;

/** Payload of PCI_VF_TOKEN, in the order of the UUID's text; the header has no name for it. */
export const vfToken = struct('pci_vf_token', { uuid: bytes(16) }, { size: 16 });

export const lowPowerEntryWithWakeup = struct(
  'vfio_device_low_power_entry_with_wakeup',
  { wakeupEventfd: s32, reserved: u32 },
  { size: 8 },
);
