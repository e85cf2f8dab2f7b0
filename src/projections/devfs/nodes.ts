/** Nodes of character devices. */
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import type { FileNode, OpenFile, OpenRequest, Ownership } from '../../vfs/node.js';

export interface DeviceFiles {
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  /** The object the node belongs to and goes with, and its ownership too. */
  readonly key: object;
  open(request: OpenRequest, caller: Caller): MaybeAsync<OpenFile>;
}

/** Makes nodes that keep what chmod and chown gave them: udev rules, libvirt and scripts hand a group to a user that way. */
export function deviceNodes(): (files: DeviceFiles) => FileNode {
  const owned = new WeakMap<object, Ownership>();
  return ({ major, minor, mode, key, open }) => ({
    kind: 'file',
    key,
    // Also those that stay: who may open them changes at any time, in another view as well.
    volatile: true,
    attributes: () => ({ mode, ...owned.get(key), size: 0, device: { major, minor } }),
    own: (changes) => void owned.set(key, { ...owned.get(key), ...changes }),
    open,
  });
}
