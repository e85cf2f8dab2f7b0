/** Every ioctl of /dev/iommu, one row each: feeds dispatch, the trace and the docs. */
import { IoctlTable } from '../../vfs/ioctl.js';
import { compatRows } from './compat.js';
import type { Context } from './context.js';
import type { Operation } from './operation.js';
import { dirtyOperations } from './operations/dirty.js';
import { faultQueueOperation } from './operations/fault-queue.js';
import { hwInfoOperation } from './operations/hw-info.js';
import { hwptOperations } from './operations/hwpt.js';
import { invalidateOperation } from './operations/invalidate.js';
import { ioasOperations } from './operations/ioas.js';
import { mappingOperations } from './operations/mapping.js';
import { settingOperations } from './operations/settings.js';
import { virtualOperations } from './operations/virtual.js';

export const operations: readonly Operation[] = [
  ...ioasOperations,
  ...mappingOperations,
  ...settingOperations,
  ...hwptOperations,
  ...dirtyOperations,
  invalidateOperation,
  hwInfoOperation,
  faultQueueOperation,
  ...virtualOperations,
];

export const iommufdIoctls = new IoctlTable<Context>([...operations, ...compatRows], 'ENOTTY');

const byLowByte = new Set(operations.map((row) => row.number & 0xff));

/** A number whose low byte is an operation's, but not its type, size or direction bits: looked at only after `size` is read. */
export function isMisshapen(command: number): boolean {
  return byLowByte.has(command & 0xff) && iommufdIoctls.get(command) === undefined;
}
