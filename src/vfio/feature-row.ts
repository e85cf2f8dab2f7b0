/** One row of the feature table (feature.ts). */
import type { ErrnoName } from '../abi/errno.js';
import type { Caller, MaybeAsync } from '../vfs/caller.js';
import type { NewDescriptor } from '../vfs/node.js';
import type { OpenDevice } from './open-device.js';

/** A GET or SET that has passed the checks of the frame. */
export interface FeatureCall {
  /** Where the payload stands in the client's memory. */
  readonly payload: bigint;
  readonly gets: boolean;
  readonly caller: Caller;
}

export interface FeatureRow {
  /** GET and SET bits. */
  readonly operations: number;
  /** Bytes of payload. */
  readonly size: number;
  /** False: the device does not have it. */
  offered?(open: OpenDevice): boolean;
  /** What it answers then, whatever was asked; default ENOTTY. */
  lacking?(open: OpenDevice): ErrnoName;
  /** The ioctl's result. */
  run(open: OpenDevice, call: FeatureCall): MaybeAsync<number | NewDescriptor>;
}

/** For a feature that only does something: the result is 0. */
export function doing(act: (open: OpenDevice, call: FeatureCall) => MaybeAsync<void>): FeatureRow['run'] {
  return async (open, call) => {
    await act(open, call);
    return 0;
  };
}
