/** Long writes and reads of client memory, in steps: a client chooses the lengths, and must not own the main loop with them. */
import { setImmediate } from 'node:timers/promises';
import type { CallerMemory } from '../vfs/caller.js';

const STEP = 0x10000;
/** Steps between two turns of the event loop: 4 MiB. */
const STEPS_PER_TURN = 64;
const ONES = Buffer.alloc(STEP, 0xff);
const ZEROES = Buffer.alloc(STEP);

async function inSteps(length: bigint, visit: (done: bigint, bytes: number) => unknown): Promise<void> {
  let steps = 0;
  for (let done = 0n; done < length; ) {
    const left = length - done;
    const bytes = left < BigInt(STEP) ? Number(left) : STEP;
    await visit(done, bytes);
    done += BigInt(bytes);
    if (++steps % STEPS_PER_TURN === 0) await setImmediate();
  }
}

/** clear_user(). EFAULT. */
export function clear(memory: CallerMemory, address: bigint, length: bigint): Promise<void> {
  return inSteps(length, (done, bytes) => memory.write(address + done, ZEROES.subarray(0, bytes)));
}

/** Sets every bit. EFAULT. */
export function fill(memory: CallerMemory, address: bigint, length: bigint): Promise<void> {
  return inSteps(length, (done, bytes) => memory.write(address + done, ONES.subarray(0, bytes)));
}

/** check_zeroed_user(). EFAULT. */
export async function isZero(memory: CallerMemory, address: bigint, length: bigint): Promise<boolean> {
  let zero = true;
  await inSteps(length, async (done, bytes) => {
    if (!zero) return;
    const step = await memory.read(address + done, bytes);
    zero = step.equals(ZEROES.subarray(0, bytes));
  });
  return zero;
}

async function orWord(memory: CallerMemory, bitmap: bigint, word: bigint, bits: bigint): Promise<void> {
  const address = bitmap + word * 8n;
  const bytes = Buffer.from(await memory.read(address, 8));
  bytes.writeBigUInt64LE(bytes.readBigUInt64LE() | bits);
  await memory.write(address, bytes);
}

/** Sets `count` bits from bit `first` of a client's u64 bitmap and leaves all others alone. EFAULT. */
export async function setBits(
  memory: CallerMemory,
  bitmap: bigint,
  first: bigint,
  count: bigint,
): Promise<void> {
  if (count === 0n) return;
  const last = first + count - 1n;
  const [firstWord, lastWord] = [first / 64n, last / 64n];
  const fromFirst = BigInt.asUintN(64, -1n << (first % 64n));
  const toLast = BigInt.asUintN(64, (2n << (last % 64n)) - 1n);
  if (firstWord === lastWord) return orWord(memory, bitmap, firstWord, fromFirst & toLast);
  await orWord(memory, bitmap, firstWord, fromFirst);
  await fill(memory, bitmap + (firstWord + 1n) * 8n, (lastWord - firstWord - 1n) * 8n);
  return orWord(memory, bitmap, lastWord, toLast);
}
