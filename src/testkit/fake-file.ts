/** A client's memfd that exists only in a test: bytes, and who retains it. */
import { refuse } from '../abi/errno.js';
import type { ClientFile } from '../vfs/caller.js';
import type { FakePin } from './fake-caller.js';

export interface FakeFile {
  readonly bytes: Buffer;
  users: number;
  readonly dmaBuf: boolean;
}

/** Without `file`: a descriptor of something that is no memory. Pins are counted among `pins`. */
export function fakeClientFile(file: FakeFile | undefined, pins: Set<FakePin>): ClientFile {
  return {
    alive: true,
    isDmaBuf: file?.dmaBuf ?? false,
    async pin(start, length, access) {
      if (!file || start + length > BigInt(file.bytes.length)) return refuse('EINVAL', 'no such memory');
      const pin = pinned(
        file.bytes.subarray(Number(start), Number(start + length)),
        start,
        access.write,
        () => pins.delete(pin),
      );
      pins.add(pin);
      return pin;
    },
    retain() {
      if (file) file.users++;
      return () => {
        if (file) file.users--;
      };
    },
  };
}

function pinned(bytes: Buffer, vaddr: bigint, writable: boolean, released: () => void): FakePin {
  return {
    vaddr,
    length: BigInt(bytes.length),
    shared: true,
    device: false,
    read: (offset, count) => Buffer.from(bytes.subarray(Number(offset), Number(offset) + count)),
    write(offset, data) {
      if (!writable) throw new Error('write through a pin taken for reading');
      bytes.set(data, Number(offset));
    },
    async copyTo(offset, target, targetOffset, count) {
      await target.write(targetOffset, bytes.subarray(Number(offset), Number(offset) + count));
    },
    release: released,
  };
}
