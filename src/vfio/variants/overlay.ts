/** What a variant driver puts between a client and the core: its own read, write and get_region_info (struct vfio_device_ops). */
import type { OpenDevice } from '../open-device.js';

/** A region that the driver has, whatever the device has there. */
export interface OverlayRegion {
  readonly size: number;
  read(open: OpenDevice, at: number, length: number): Buffer;
  /** Returns the bytes taken. */
  write(open: OpenDevice, at: number, data: Buffer): number;
}

/** Of one device, from its registration until it is unregistered. */
export interface Overlay {
  /** By region index; others are the core's. */
  readonly regions: ReadonlyMap<number, OverlayRegion>;
  /** Changes what the core has read of configuration space from `at` on. */
  configRead(at: number, bytes: Buffer): void;
  /** Sees what a client writes to configuration space before the core does. */
  configWritten(at: number, data: Buffer): void;
  /** What the device keeps for it, in a migrated state. */
  save(): Buffer;
  /** False, and nothing done, for what is no such state. */
  load(state: Buffer): boolean;
  /** struct pci_error_handlers.reset_done. */
  resetDone(): void;
}
