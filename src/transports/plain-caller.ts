/** The caller of a transport that can't tell who calls: uid and gid are known, memory and descriptors are out of reach. */
import { readFileSync } from 'node:fs';
import { KernelError } from '../abi/errno.js';
import { type Caller, Capability, type CapabilityName } from '../vfs/caller.js';

export interface PlainCallerOptions {
  /** Completes the refusal "… is out of reach: ". */
  readonly reason: string;
  readonly uid: number;
  readonly gid: number;
  readonly capable: (capability: CapabilityName) => boolean;
  readonly describe: string;
}

export function plainCaller(options: PlainCallerOptions): Caller {
  const refusal = (what: string) => new KernelError('ENOSYS', `${what} is out of reach: ${options.reason}`);
  const refuse = (what: string) => (): never => {
    throw refusal(what);
  };
  return {
    tid: 0,
    uid: options.uid,
    gid: options.gid,
    memory: { read: refuse("the caller's memory"), write: refuse("the caller's memory") },
    process: {
      pid: 0,
      alive: true,
      frames: { stretches: refuse("the caller's memory"), at: refuse("the caller's memory") },
      pin: async () => {
        throw refusal("the caller's memory");
      },
      // Nobody can be seen to exit, so there is nothing to call and nothing to forget.
      retain: () => () => {},
      memlock: refuse("the caller's limits"),
    },
    capable: options.capable,
    eventfd: refuse("the caller's eventfd"),
    memoryFile: refuse("the caller's descriptor"),
    openFile: async () => {
      throw refusal("the caller's descriptor");
    },
    describe: () => options.describe,
    onInterrupt: () => {},
  };
}

/** The effective capabilities of this process (CapEff of /proc/self/status); where there is no /proc, root has all. */
export function ownCapabilities(): ReadonlySet<CapabilityName> {
  const names = Object.keys(Capability) as CapabilityName[];
  if (process.platform !== 'linux') return new Set(process.getuid?.() === 0 ? names : []);
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  if (!line) throw new Error('/proc/self/status has no CapEff line');
  const bits = BigInt(`0x${line}`);
  return new Set(names.filter((name) => (bits >> BigInt(Capability[name])) & 1n));
}
