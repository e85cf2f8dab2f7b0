/** A guest with a first-stage page table of its own, in memory that an IOAS maps 1:1 from 0 on. */
import { hwptVtdS1 } from '../../../src/abi/iommufd/index.js';
import type { FakeHostOptions } from '../../../src/testkit/fake-host.js';
import { BUFFER, capableFunction, FIXED_RW, Session } from './context.js';

/** Present, writable, for user mode. */
export const PWU = 7n;
export const LARGE = 1n << 7n;
export const ACCESSED = 1n << 5n;
export const DIRTY = 1n << 6n;

const GUEST = 0x2000_0000n;
export const GUEST_SIZE = 0x10_0000;
/** Tables, from the top down; data pages from 0x10000 on. */
export const TABLES = [0n, 0x1000n, 0x2000n, 0x3000n, 0x4000n];

export const ENTRY = (iova: bigint, level: number): number =>
  Number((iova >> BigInt(12 + 9 * (level - 1))) & 0x1ffn) * 8;

export async function guest(options: FakeHostOptions = {}) {
  const session = new Session({ functions: [capableFunction()], iommu: { scalableMode: true }, ...options });
  const memory = session.caller.map(GUEST, GUEST_SIZE);
  const device = session.bind();
  const ioas = await session.ioas();
  await session.map(ioas, { flags: FIXED_RW, userVa: GUEST, length: BigInt(GUEST_SIZE), iova: 0n });
  const [, parent] = await session.hwpt(device.id, ioas, { flags: 1 });

  /** IOMMU_HWPT_ALLOC of a nested HWPT: outcome and id. */
  const nested = (data: Partial<ReturnType<typeof hwptVtdS1.decode>> = {}, values: object = {}) => {
    session.caller.map(
      BUFFER,
      hwptVtdS1.encode({ flags: 0n, pgtblAddr: 0n, addrWidth: 48, reserved: 0, ...data }),
    );
    return session.hwpt(device.id, parent, { dataType: 1, dataLen: 24, dataUptr: BUFFER, ...values });
  };
  /** Writes the entries that lead to `page`, each with `rights`; a page of 2 MiB at level 2. */
  const enter = (iova: bigint, page: bigint, { rights = PWU, levels = 4, leaf = 1 } = {}) => {
    for (let level = levels; level >= leaf; level--) {
      const table = TABLES[levels - level]!;
      const target = level === leaf ? page | (leaf > 1 ? LARGE : 0n) : TABLES[levels - level + 1]!;
      memory.writeBigUInt64LE(target | rights, Number(table) + ENTRY(iova, level));
    }
  };
  return { session, device, ioas, parent, memory, nested, enter };
}
