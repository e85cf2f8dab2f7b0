/**
 * A transport brings a tree of nodes to its users. It knows nodes, open files and the dispatcher, never what they stand for. What
 * one can't do is data (`lacks`), read by the conformance suite, by `chooseTransport` and by the documentation alike.
 */
import type { Dispatcher } from '../vfs/dispatch.js';
import type { DirectoryNode } from '../vfs/node.js';

export type TransportName = 'fuse' | 'fuse-native' | 'memfs';

/** What a client may need; the conformance suite has a chapter for each. */
export const features = [
  'mount', // other programs see the tree at a path
  'ioctl',
  'poll', // wake-ups; without it every file is always ready
  'mmap', // memory shared with the daemon
  'client-memory', // pointers in arguments reach the caller's memory, and descriptors its files
  'new-descriptor', // an ioctl can return a descriptor
  'interrupt', // a signal ends a waiting operation with EINTR
  'invalidation', // the kernel may cache, because it is told what changed
  'forget', // nodes nobody refers to are dropped
  'caller-identity', // uid, gid and capabilities of each caller
] as const;
export type Feature = (typeof features)[number];

export interface Gap {
  readonly what: Feature;
  readonly why: string;
}

export interface RunningTransport {
  readonly name: TransportName;
  /** Resolves when serving has ended: by stop() or, where that can be seen, because somebody unmounted it. */
  readonly closed: Promise<void>;
  /** Ends serving and leaves no mount behind. May be called again. */
  stop(): Promise<void>;
}

/** `Target` is where the tree goes: a mount point (an existing directory), or nothing for an in-process volume. */
export interface Transport<Target, Running extends RunningTransport = RunningTransport> {
  readonly name: TransportName;
  readonly lacks: readonly Gap[];
  /** Resolves once clients can use the tree. When it rejects, nothing is left mounted. */
  serve(root: DirectoryNode, dispatcher: Dispatcher, target: Target): Promise<Running>;
}

/** Why `transport` lacks `feature`; undefined when it has it. */
export function gap(transport: { readonly lacks: readonly Gap[] }, feature: Feature): string | undefined {
  return transport.lacks.find((row) => row.what === feature)?.why;
}
