/** Structs and flags of the group ioctls (linux/vfio.h). */
import { struct, u32 } from '../struct.js';

export const groupStatus = struct('vfio_group_status', { argsz: u32, flags: u32 }, { size: 8 });

export const GroupFlag = { VIABLE: 1 << 0, CONTAINER_SET: 1 << 1 } as const;
