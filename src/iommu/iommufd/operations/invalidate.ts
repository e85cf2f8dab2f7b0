/** IOMMU_HWPT_INVALIDATE (iommufd_hwpt_invalidate(), intel_nested_cache_invalidate_user()). */
import { setImmediate } from 'node:timers/promises';
import { refuse } from '../../../abi/errno.js';
import {
  hwptInvalidate,
  InvalidateData,
  VtdInvalidateFlag,
  vtdS1Invalidate,
} from '../../../abi/iommufd/index.js';
import type { StructValue } from '../../../abi/struct.js';
import { hex, isAligned, LAST_ADDRESS, PAGE_SIZE } from '../../range.js';
import type { NestedHwpt } from '../nested.js';
import { type Call, operation } from '../operation.js';
import { readUserStruct } from '../user-struct.js';

/** Most entries of one call. */
const MAX_ENTRIES = 524288;
/** Entries between two turns of the main loop: a client may ask for all of them at once. */
const ENTRIES_PER_TURN = 1024;

type InvalidateCall = Call<StructValue<typeof hwptInvalidate>>;

async function invalidate({ context, caller, request }: InvalidateCall, handled: () => void): Promise<void> {
  const { entryNum, entryLen, dataUptr, hwptId } = request;
  if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
  const badEntries =
    dataUptr === 0n || entryLen === 0 || entryLen > Number(PAGE_SIZE) || entryNum > MAX_ENTRIES;
  if (entryNum > 0 && badEntries) refuse('EINVAL', 'entries');
  const target = context.objects.get(hwptId);
  if (!target) return refuse('ENOENT', `no object ${hwptId}`);
  if (target.kind === 'viommu') return refuse('EOPNOTSUPP', 'vIOMMUs here invalidate nothing');
  if (target.kind !== 'nested')
    return refuse('EINVAL', `object ${hwptId} is neither a nested HWPT nor a vIOMMU`);
  if (request.dataType !== InvalidateData.VTD_S1) refuse('EINVAL', `data type ${request.dataType}`);
  for (let index = 0; index < entryNum; index++) {
    const place = { address: dataUptr + BigInt(index) * BigInt(entryLen), length: entryLen };
    invalidateEntry(target, await readUserStruct(caller.memory, vtdS1Invalidate, place));
    handled();
    if ((index + 1) % ENTRIES_PER_TURN === 0) await setImmediate();
  }
}

function invalidateEntry(hwpt: NestedHwpt, entry: StructValue<typeof vtdS1Invalidate>): void {
  if ((entry.flags & ~VtdInvalidateFlag.LEAF) !== 0 || entry.reserved !== 0)
    refuse('EOPNOTSUPP', `entry: flags ${entry.flags} or __reserved`);
  if (!isAligned(entry.addr, PAGE_SIZE) || (entry.npages === LAST_ADDRESS && entry.addr !== 0n))
    refuse('EINVAL', `entry: address ${hex(entry.addr)}, ${hex(entry.npages)} pages`);
  hwpt.invalidate(entry.addr, entry.npages);
}

export const invalidateOperation = operation('IOMMU_HWPT_INVALIDATE', hwptInvalidate, 32, async (call) => {
  let done = 0;
  try {
    await invalidate(call, () => done++);
  } finally {
    // Told on every outcome; EFAULT here takes the place of any other.
    call.request.entryNum = done;
    await call.respond();
  }
});
