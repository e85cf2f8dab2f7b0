/**
 * The npm package fuse-native (libfuse 2): trees without ioctl and mmap, where our own addon can't be built or used. Serves clients
 * of the mounting user only (no allow_other), so that the one thing libfuse does not pass on, who calls, is known after all.
 */
import type { Caller } from '../../vfs/caller.js';
import type { Dispatcher } from '../../vfs/dispatch.js';
import type { DirectoryNode } from '../../vfs/node.js';
import type { Gap, RunningTransport, Transport } from '../contract.js';
import { ownCapabilities, plainCaller } from '../plain-caller.js';
import { mountNative } from './mount.js';
import { NativeOperations } from './operations.js';

const lacks: readonly Gap[] = [
  { what: 'ioctl', why: 'fuse-native has no ioctl operation (ENOSYS reaches the client as ENOTTY)' },
  { what: 'poll', why: 'fuse-native has no poll operation: every file is always ready' },
  {
    what: 'mmap',
    why: 'direct I/O, which attributes need, rules out shared mappings without passthrough (ENODEV)',
  },
  { what: 'client-memory', why: 'fuse-native does not pass on who calls' },
  { what: 'new-descriptor', why: 'descriptors come from ioctls' },
  { what: 'interrupt', why: "fuse-native does not forward signals: a waiting operation ends when it's done" },
  {
    what: 'invalidation',
    why: 'fuse-native sends no notifications; nothing is cached, so nothing is stale, only slower',
  },
  { what: 'forget', why: 'libfuse keeps its own node table, by path' },
  {
    what: 'caller-identity',
    why: 'fuse-native does not pass on who calls; only the mounting user is let in',
  },
];

function mountingUser(): Caller {
  const capabilities = ownCapabilities();
  return plainCaller({
    reason: 'the fuse-native transport does not know who calls',
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    capable: (capability) => capabilities.has(capability),
    describe: 'fuse-native client',
  });
}

export interface RunningFuseNative extends RunningTransport {
  readonly mountPoint: string;
}

async function serve(
  root: DirectoryNode,
  dispatcher: Dispatcher,
  target: string,
): Promise<RunningFuseNative> {
  const operations = new NativeOperations(root, dispatcher, mountingUser());
  const mount = await mountNative(target, operations.table());
  let ended = (): void => {};
  const closed = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let stopping: Promise<void> | undefined;
  return {
    name: 'fuse-native',
    mountPoint: mount.path,
    closed,
    stop() {
      stopping ??= mount.unmount().then(() => {
        operations.releaseAll();
        ended();
      });
      return stopping;
    },
  };
}

export const fuseNativeTransport: Transport<string, RunningFuseNative> = {
  name: 'fuse-native',
  lacks,
  serve,
};
