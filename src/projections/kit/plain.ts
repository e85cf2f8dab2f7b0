/** Files outside sysfs whose content is made at open: procfs fragments (st_size 0) and the module indexes (their true size). */
import { refuse } from '../../abi/errno.js';
import type { Caller } from '../../vfs/caller.js';
import type { FileNode } from '../../vfs/node.js';

export interface PlainSpec {
  readonly mode: number;
  readonly path: string;
  show(): Buffer;
  store?(content: string, caller: Caller): void;
  /** A file of a disk, which is not to be changed: its st_size is the length of the content. */
  readonly sized?: boolean;
}

export function plainFile({ mode, path, show, store, sized }: PlainSpec): FileNode {
  return {
    kind: 'file',
    attributes: () => ({ mode, size: sized ? show().length : 0 }),
    open(request) {
      if (request.writes && sized) refuse('EACCES', `${path} is read-only`);
      const content = show();
      return {
        read: (offset, length) => content.subarray(Number(offset), Number(offset) + length),
        // proc_reg_write(): whoever may (root, whatever the mode is) opens such a file for writing, too.
        write(_offset, data, caller) {
          if (!store) refuse('EIO', `${path} takes no writes`);
          if (data.length > 0) store(data.toString('latin1'), caller);
          return data.length;
        },
        describe: () => path,
      };
    },
  };
}
