/** Files outside sysfs whose content is made at open: procfs fragments (st_size 0) and the module indexes (their true size). */
import { refuse } from '../../abi/errno.js';
import type { Caller } from '../../vfs/caller.js';
import type { FileNode } from '../../vfs/node.js';

export interface PlainSpec {
  readonly mode: number;
  readonly path: string;
  show(): Buffer;
  store?(content: string, caller: Caller): void;
  /** Report the length of the content as st_size. */
  readonly sized?: boolean;
}

export function plainFile({ mode, path, show, store, sized }: PlainSpec): FileNode {
  return {
    kind: 'file',
    attributes: () => ({ mode, size: sized ? show().length : 0 }),
    open(request) {
      if (request.writes && !store) refuse('EACCES', `${path} is read-only`);
      const content = show();
      return {
        read: (offset, length) => content.subarray(Number(offset), Number(offset) + length),
        ...(store && {
          write(_offset, data, caller) {
            if (data.length > 0) store(data.toString('latin1'), caller);
            return data.length;
          },
        }),
        describe: () => path,
      };
    },
  };
}
