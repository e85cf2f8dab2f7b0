/**
 * Inode numbers. A FUSE file can't be a character device, and `fuse_attr` says nothing of one for a regular file; so the number of a node that
 * stands for a device says which. What supervises clients (src/native/supervision.h) reads it there: nothing has to be told, and nothing
 * can be out of date. Below 2^53, for programs that keep such numbers in a double.
 */
import type { Attributes } from '../../vfs/node.js';

const DEVICE = 2 ** 52;
const MAJORS = 2 ** 9;
const MINORS = 2 ** 20;
/** Of a node's own id this much is left: enough to tell a device from the one that had its number before. */
const IDS = 2 ** 23;

export function inodeNumber(id: number, device: Attributes['device']): number {
  if (!device) return id;
  const { major, minor } = device;
  // Linux gives out no others (CHRDEV_MAJOR_MAX, MINORBITS).
  if (major >= MAJORS || minor >= MINORS) throw new Error(`no device has the number ${major}:${minor}`);
  return DEVICE + (major * MINORS + minor) * IDS + (id % IDS);
}
