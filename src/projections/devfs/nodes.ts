/** Nodes of character devices. */
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import type { FileNode, OpenFile, OpenRequest } from '../../vfs/node.js';

export interface DeviceFiles {
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  /** The object the node belongs to and goes with; nodes without one stay. */
  readonly key?: object;
  open(request: OpenRequest, caller: Caller): MaybeAsync<OpenFile>;
}

export function deviceNode({ major, minor, mode, key, open }: DeviceFiles): FileNode {
  return {
    kind: 'file',
    ...(key ? { key, volatile: true } : {}),
    attributes: () => ({ mode, size: 0, device: { major, minor } }),
    open,
  };
}
