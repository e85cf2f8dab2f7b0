/**
 * What the supervisor of a command asks of the daemon, by ioctls of ours on the client's own open file: the layouts of
 * src/native/supervision.h. Like the probe's their numbers have no size or direction bits, so that FUSE passes them on as they are.
 */
import { s32, struct, u32, u64 } from '../abi/struct.js';

/** Carry an ioctl out for a thread that waits in it; the argument points to an ActFor of the supervisor's. */
export const ACT_FOR_COMMAND = 0x0000eff7;
/** The number that the descriptor opened after it has got in the client, or -errno when it has got none. */
export const DELIVER_COMMAND = 0x0000eff8;
/** The name of an open file without a path, into 64 bytes; returns its length, 0 for a file that has a path. */
export const NAME_COMMAND = 0x0000eff9;
/** Broadcast the host's uevents in the network namespace of a socket of the caller's, whose number is the argument. */
export const BROADCAST_COMMAND = 0x0000effa;

export const actFor = struct('ActFor', {
  /** For whom. */
  tid: u32,
  command: u32,
  argument: u64,
  /** What the ioctl returns, unless `opens`. */
  result: s32,
  /** 1: the supervisor shall open its descriptor anew, with `flags`, and give the client what it gets. */
  opens: u32,
  flags: u32,
  /** 1: then it shall say which number it got there (DELIVER_COMMAND), and gets the ioctl's result. */
  delivers: u32,
});
