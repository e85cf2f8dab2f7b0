/** One request of the kernel: header fields, the body where it lies in the channel's buffer, and the reply, given exactly once. */
import { InHeader, OutHeader } from '../../abi/fuse/protocol.js';
import type { FuseChannel } from '../../native/index.js';

/** A request is answered once, or needs no answer: what was received is answered or in flight. */
export interface Tally {
  received: number;
  answered: number;
}

export class FuseRequest {
  readonly opcode: number;
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  /** Thread id of the caller; 0 when it is outside the mounter's pid namespace. */
  readonly tid: number;
  /** After the header; valid until the request's handler returns or first awaits. */
  readonly body: Buffer;
  private readonly uniqueLow: number;
  private readonly uniqueHigh: number;
  private answered = false;
  private interruptListeners: (() => void)[] | undefined;

  constructor(
    private readonly channel: FuseChannel,
    length: number,
    private readonly tally: Tally,
  ) {
    tally.received++;
    const bytes = channel.buffer;
    this.opcode = bytes.readUInt32LE(InHeader.opcode);
    this.uniqueLow = bytes.readUInt32LE(InHeader.unique);
    this.uniqueHigh = bytes.readUInt32LE(InHeader.unique + 4);
    // Our own ids stay below 2^32 for longer than any mount lives; a larger one can't be ours and is not found.
    this.nodeid = bytes.readUInt32LE(InHeader.nodeid) + bytes.readUInt32LE(InHeader.nodeid + 4) * 2 ** 32;
    this.uid = bytes.readUInt32LE(InHeader.uid);
    this.gid = bytes.readUInt32LE(InHeader.gid);
    this.tid = bytes.readUInt32LE(InHeader.pid);
    this.body = bytes.subarray(InHeader.size, length);
  }

  /** Key of requests in flight. */
  get unique(): number {
    return this.uniqueLow + this.uniqueHigh * 2 ** 32;
  }

  get isAnswered(): boolean {
    return this.answered;
  }

  /** Success with `payload`. */
  reply(payload?: Uint8Array): void {
    this.send(0, payload);
  }

  /** A positive errno. */
  fail(errno: number): void {
    this.send(errno, undefined);
  }

  /** For requests that take no reply (FORGET). */
  needsNoReply(): void {
    this.answered = true;
    this.tally.answered++;
  }

  onInterrupt(listener: () => void): void {
    this.interruptListeners ??= [];
    this.interruptListeners.push(listener);
  }

  interrupt(): void {
    const listeners = this.interruptListeners;
    this.interruptListeners = undefined;
    if (listeners) for (const listener of listeners) listener();
  }

  private send(errno: number, payload: Uint8Array | undefined): void {
    if (this.answered) throw new Error(`request ${this.unique} answered twice`);
    this.answered = true;
    this.tally.answered++;
    outHeader.writeUInt32LE(OutHeader.size + (payload?.length ?? 0), OutHeader.len);
    outHeader.writeInt32LE(-errno, OutHeader.error);
    outHeader.writeUInt32LE(this.uniqueLow, OutHeader.unique);
    outHeader.writeUInt32LE(this.uniqueHigh, OutHeader.unique + 4);
    // ENOENT: the caller was killed meanwhile and the kernel forgot the request; nobody is left to be told.
    this.channel.reply(outHeader, payload);
  }
}

/** Written by the channel before reply() returns, so one serves all. */
const outHeader = Buffer.alloc(OutHeader.size);
