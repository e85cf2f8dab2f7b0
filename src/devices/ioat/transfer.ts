/** What a channel does to client memory besides reading descriptors. */
import { type Dma, DmaFault, type MaybeAsync } from '../contract.js';
import { ChannelError, type Operation } from './chain.js';
import { settle } from './maybe-async.js';
import { Chanerr } from './registers.js';

/** Runs one operation. Fails with DmaFault. */
export function transfer(dma: Dma, operation: Operation): MaybeAsync<void> {
  const { kind, source, destination, length } = operation;
  if (kind === 'copy') return dma.copy(destination, source, length);
  if (kind === 'null') return;
  const pattern = Buffer.alloc(8);
  pattern.writeBigUInt64LE(source);
  return dma.write(destination, Buffer.alloc(length, pattern));
}

/** Writes the 8 bytes of CHANSTS to CHANCMP. Fails with ChannelError. */
export function writeCompletion(dma: Dma, address: bigint, chansts: Buffer): MaybeAsync<void> {
  const failed = (cause?: DmaFault) => {
    const message = `CHANSTS can't be written to CHANCMP 0x${address.toString(16)}`;
    return new ChannelError(Chanerr.COMPLETION_ADDR, message, cause && { cause });
  };
  if (address % 8n !== 0n) throw failed();
  return settle(
    () => dma.write(address, chansts),
    () => undefined,
    (error) => {
      throw error instanceof DmaFault ? failed(error) : error;
    },
  );
}
