/** The pretend machine as a tree: sys, dev, proc (fragments) and lib (module indexes), all computed when asked. */
import type { DirectoryNode } from '../vfs/node.js';
import { createModel, type ModelOptions } from './context.js';
import { devfs } from './devfs/index.js';
import { DirectoryClass, subdirectory } from './kit/directory.js';
import { Owners } from './kit/owners.js';
import { moduleIndexes } from './modules/index.js';
import { cgroupMount, hostMounts, hostMountsOf, withMountPoints } from './mount-points.js';
import { procDirectories, procfs } from './procfs/index.js';
import { sysfs } from './sysfs/index.js';

export { staleBy } from './stale.js';
export { netlinkMessage, toUevent, type Uevent } from './uevents.js';
export type { VfioDeviceView, VfioGroupView, VfioView } from './vfio-view.js';
export { hostMounts, hostMountsOf, procDirectories };

/** linux/magic.h; devtmpfs is a tmpfs (shmem_init_fs_context()). */
const Magic = { SYSFS: 0x62656572, TMPFS: 0x01021994, PROC: 0x9fa0 } as const;

export interface RootOptions extends ModelOptions {
  /** The entry at `path` (no leading slash) has another mode or owner. */
  owned?(path: string): void;
}

export function createRoot(options: RootOptions): DirectoryNode {
  const model = createModel(options);
  const type = new DirectoryClass<void>([
    subdirectory('sys', sysfs(model), { mode: 0o555, filesystem: Magic.SYSFS }),
    subdirectory('dev', devfs(model), { filesystem: Magic.TMPFS }),
    subdirectory('proc', procfs(model), { mode: 0o555, filesystem: Magic.PROC }),
    subdirectory('lib', [subdirectory('modules', moduleIndexes(model))]),
  ]);
  const owners = new Owners((path) => options.owned?.(path));
  const root = type.at(undefined, { path: '', alive: () => true, object: {}, owners });
  return withMountPoints(root, [...hostMounts, cgroupMount]);
}
