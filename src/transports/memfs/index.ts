/**
 * An in-process volume for Node programs under test: no mount, no privilege, any platform. `fs` is memfs's face of Node's fs API;
 * every call of it reaches the tree as it is at that moment.
 *
 *     const { fs } = createMemfsVolume(root, dispatcher);
 *     fs.readFileSync('/sys/bus/pci/devices/0000:00:04.0/vendor', 'utf8');
 *     await fs.promises.writeFile('/sys/bus/pci/drivers/vfio-pci/unbind', '0000:00:04.0');
 */
import { createFsFromVolume, type IFs } from 'memfs';
import type { Dispatcher } from '../../vfs/dispatch.js';
import type { DirectoryNode } from '../../vfs/node.js';
import type { Gap, RunningTransport, Transport } from '../contract.js';
import { InodeNumbers } from '../inodes.js';
import { plainCaller } from '../plain-caller.js';
import { LiveSuperblock } from './live-superblock.js';
import { LiveVolume } from './live-volume.js';

const lacks: readonly Gap[] = [
  { what: 'mount', why: 'only the Node program that holds the volume sees it' },
  { what: 'ioctl', why: "Node's fs has no ioctl" },
  { what: 'poll', why: "Node's fs has no poll" },
  { what: 'mmap', why: "Node's fs has no mmap" },
  { what: 'client-memory', why: 'nothing passes a pointer or a descriptor' },
  { what: 'new-descriptor', why: 'descriptors come from ioctls' },
  { what: 'interrupt', why: 'no signal reaches a call inside the process' },
  { what: 'invalidation', why: 'there is no cache between the program and the tree' },
  { what: 'forget', why: 'no node is kept' },
  { what: 'caller-identity', why: 'the one caller is the program itself, as root of the pretend machine' },
];

export interface RunningMemfs extends RunningTransport {
  readonly fs: IFs;
}

export function createMemfsVolume(root: DirectoryNode, dispatcher: Dispatcher): RunningMemfs {
  const caller = plainCaller({
    reason: 'the memfs transport has no client process',
    uid: 0,
    gid: 0,
    capable: () => true,
    describe: 'memfs program',
  });
  const tree = { dispatcher, inodes: new InodeNumbers(), birth: new Date() };
  const core = new LiveSuperblock(root, tree, caller);
  let ended = (): void => {};
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  return {
    name: 'memfs',
    fs: createFsFromVolume(new LiveVolume(core)),
    closed,
    async stop() {
      core.closeAll();
      ended();
    },
  };
}

export const memfsTransport: Transport<undefined, RunningMemfs> = {
  name: 'memfs',
  lacks,
  serve: async (root, dispatcher) => createMemfsVolume(root, dispatcher),
};
