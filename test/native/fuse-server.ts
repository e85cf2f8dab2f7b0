/** A FUSE server of one file, `dev`, on the addon's channel: just what the kernel needs to open it and send it ioctls. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FuseChannel, native } from '../../src/native/index.js';

const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  OPEN: 14,
  RELEASE: 18,
  INIT: 26,
  INTERRUPT: 36,
  IOCTL: 39,
  POLL: 40,
};
const ENOENT = 2;
const ENOSYS = 38;
const FILE = 2n;

export interface Ioctl {
  readonly tid: number;
  readonly command: number;
  readonly argument: bigint;
  readonly unique: bigint;
}

export class FuseServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'vfiofs-native-'));
  readonly fd = native().openFuse();
  readonly channel: FuseChannel = native().createChannel(this.fd, (1 << 20) + 4096);
  readonly closed: Promise<number>;
  readonly opcodes: number[] = [];
  /** fuse_open_out.open_flags; FOPEN_DIRECT_IO | FOPEN_NOFLUSH. */
  openFlags = 33;
  backingId = 0;
  /** Called for every ioctl; answers by `answer`. */
  onIoctl: (ioctl: Ioctl) => void = ({ unique }) => this.fail(unique, ENOSYS);
  /** Called for every poll with the events asked for (fuse_poll_in.events); answers by `reply`. */
  onPoll: (unique: bigint, events: number) => void = (unique) => this.fail(unique, ENOSYS);
  /** Called first for every request; true: it is dealt with. */
  intercept: (opcode: number, unique: bigint) => boolean = () => false;

  constructor() {
    native().mountFuse(
      this.fd,
      this.directory,
      'native-test',
      'rootmode=40000,user_id=0,group_id=0,allow_other',
    );
    this.closed = new Promise((resolve) => {
      this.channel.start((length) => this.handle(length), resolve);
    });
  }

  get file(): string {
    return join(this.directory, 'dev');
  }

  stop(): void {
    native().unmount(this.directory, true);
    this.channel.close();
    rmdirSync(this.directory);
  }

  fail(unique: bigint, errno: number): number {
    return this.reply(unique, -errno);
  }

  /** fuse_ioctl_out with `result`. */
  answer(unique: bigint, result: number): number {
    const out = Buffer.alloc(16);
    out.writeInt32LE(result, 0);
    return this.reply(unique, 0, out);
  }

  reply(unique: bigint, error: number, payload?: Buffer): number {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(16 + (payload?.length ?? 0), 0);
    header.writeInt32LE(error, 4);
    header.writeBigUInt64LE(unique, 8);
    return this.channel.reply(header, payload);
  }

  private handle(length: number): void {
    const { buffer } = this.channel;
    const opcode = buffer.readUInt32LE(4);
    const unique = buffer.readBigUInt64LE(8);
    const node = buffer.readBigUInt64LE(16);
    this.opcodes.push(opcode);
    if (this.intercept(opcode, unique)) return;
    if (opcode === Opcode.INIT) this.reply(unique, 0, this.init());
    else if (opcode === Opcode.LOOKUP) this.lookup(unique, buffer.toString('latin1', 40, length - 1));
    else if (opcode === Opcode.GETATTR)
      this.reply(unique, 0, Buffer.concat([Buffer.alloc(16), this.attributes(node)]));
    else if (opcode === Opcode.OPEN) this.open(unique);
    else if (opcode === Opcode.IOCTL)
      this.onIoctl({
        tid: buffer.readUInt32LE(32),
        command: buffer.readUInt32LE(40 + 12),
        argument: buffer.readBigUInt64LE(40 + 16),
        unique,
      });
    else if (opcode === Opcode.POLL) this.onPoll(unique, buffer.readUInt32LE(40 + 20));
    else if (opcode === Opcode.RELEASE) this.reply(unique, 0);
    else if (opcode !== Opcode.FORGET && opcode !== Opcode.INTERRUPT) this.fail(unique, ENOSYS);
  }

  /** fuse_init_out of 7.41 with FUSE_INIT_EXT and FUSE_PASSTHROUGH, stack depth 1. */
  private init(): Buffer {
    const out = Buffer.alloc(64);
    out.writeUInt32LE(7, 0);
    out.writeUInt32LE(41, 4);
    out.writeUInt32LE(1 << 30, 12);
    out.writeUInt32LE(1 << 16, 20);
    out.writeUInt32LE(1, 24);
    out.writeUInt32LE(1 << 5, 32);
    out.writeUInt32LE(1, 36);
    return out;
  }

  private lookup(unique: bigint, name: string): void {
    if (name !== 'dev') {
      this.fail(unique, ENOENT);
      return;
    }
    const entry = Buffer.alloc(40);
    entry.writeBigUInt64LE(FILE, 0);
    this.reply(unique, 0, Buffer.concat([entry, this.attributes(FILE)]));
  }

  private open(unique: bigint): void {
    const out = Buffer.alloc(16);
    out.writeBigUInt64LE(1n, 0);
    out.writeUInt32LE(this.openFlags, 8);
    out.writeInt32LE(this.backingId, 12);
    this.reply(unique, 0, out);
  }

  private attributes(node: bigint): Buffer {
    const attributes = Buffer.alloc(88);
    attributes.writeBigUInt64LE(node, 0);
    attributes.writeBigUInt64LE(node === FILE ? 1n << 20n : 0n, 8);
    attributes.writeUInt32LE(node === FILE ? 0o100666 : 0o40755, 60);
    attributes.writeUInt32LE(1, 64);
    return attributes;
  }
}
