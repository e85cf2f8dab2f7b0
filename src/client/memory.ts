/** The memory of a caller while it waits in its call. */
import { KernelError } from '../abi/errno.js';
import type { CallerMemory, MaybeAsync } from '../vfs/caller.js';
import { asFault } from './errors.js';
import { type Clients, USER_END } from './process.js';

/** How long a page may take to come: past that the client plays with userfaultfd, and gets what it asked for. */
const PATIENCE_MS = 5000;

export class ClientMemory implements CallerMemory {
  constructor(
    private readonly clients: Clients,
    private readonly tid: number,
  ) {}

  read(address: bigint, length: number): MaybeAsync<Buffer> {
    const from = check(address, length);
    const target = Buffer.allocUnsafe(length);
    if (length === 0) return target;
    try {
      const known = this.clients.remembered(this.tid);
      if (known && known.handle.readWaiting(this.tid, from, target) >= 0) return target;
      const { handle } = this.clients.of(this.tid);
      if (handle.read(from, target) >= 0) return target;
      return handle.readBlocking(from, target, PATIENCE_MS).then(
        () => target,
        (error) => {
          throw asFault(error, `read 0x${address.toString(16)}`);
        },
      );
    } catch (error) {
      throw asFault(error, `read 0x${address.toString(16)}`);
    }
  }

  write(address: bigint, data: Uint8Array): MaybeAsync<void> {
    const to = check(address, data.length);
    if (data.length === 0) return undefined;
    try {
      const known = this.clients.remembered(this.tid);
      if (known && known.handle.writeWaiting(this.tid, to, data) >= 0) return undefined;
      const { handle } = this.clients.of(this.tid);
      if (handle.write(to, data) >= 0) return undefined;
      return handle.writeBlocking(to, data, PATIENCE_MS).catch((error) => {
        throw asFault(error, `write 0x${address.toString(16)}`);
      });
    } catch (error) {
      throw asFault(error, `write 0x${address.toString(16)}`);
    }
  }
}

/** access_ok() */
function check(address: bigint, length: number): number {
  if (address < 0n || address + BigInt(length) > USER_END)
    throw new KernelError('EFAULT', `0x${address.toString(16)} is not a user address`);
  return Number(address);
}
