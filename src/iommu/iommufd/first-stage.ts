/**
 * First-stage translation (VT-d specification, chapter 3.6): the page table of a guest, in the format of x86-64's own, read from the
 * guest's memory as the parent HWPT maps it. Requests are those of user mode, as devices make them.
 */
import { KernelError } from '../../abi/errno.js';
import { andThen, type MaybeAsync } from '../../vfs/caller.js';
import type { Access } from '../contract.js';
import { hex } from '../range.js';
import type { Hwpt } from './hwpt.js';

const PRESENT = 1n << 0n;
const WRITE = 1n << 1n;
const USER = 1n << 2n;
const ACCESSED = 1n << 5n;
const DIRTY = 1n << 6n;
const PAGE_SIZE_BIT = 1n << 7n;
const EXTENDED_ACCESSED = 1n << 10n;
const ADDRESS = 0x000f_ffff_ffff_f000n;
/** Bit 12 of a large page is its memory type's. */
const LARGE_PAGE_TYPE = 1n << 12n;

export interface FirstStageTable {
  readonly parent: Hwpt;
  /** Guest-physical address of the top table. */
  readonly root: bigint;
  readonly levels: 4 | 5;
  readonly gigabytePages: boolean;
  /** Sets the extended-accessed bits, too. */
  readonly extendedAccess: boolean;
}

/** A page as the walk found it: what hardware remembers. */
export interface Page {
  /** Where in the guest's physical space it begins. */
  readonly address: bigint;
  readonly shift: 12 | 21 | 30;
  readonly writable: boolean;
  /** The entry's dirty bit is set: a write need not set it. */
  readonly dirty: boolean;
}

export interface Fault {
  readonly reason: string;
  /** Nothing the guest could put right by answering a page request. */
  readonly final: boolean;
}

export type Walk = { readonly page: Page } | { readonly fault: Fault };

export function isCanonical(iova: bigint, levels: 4 | 5): boolean {
  const top = BigInt.asUintN(64, iova) >> (levels === 4 ? 47n : 56n);
  return top === 0n || top === (levels === 4 ? 0x1_ffffn : 0xffn);
}

export function walk(table: FirstStageTable, iova: bigint, access: Access): MaybeAsync<Walk> {
  if (!isCanonical(iova, table.levels)) return missing(`${hex(iova)} is not canonical`, true);
  return step(table, table.root & ADDRESS, table.levels, true, iova, access);
}

/** One table, and those below it. `writable`: every entry so far allows writes. */
function step(
  table: FirstStageTable,
  base: bigint,
  level: number,
  writable: boolean,
  iova: bigint,
  access: Access,
): MaybeAsync<Walk> {
  const shift = BigInt(12 + 9 * (level - 1));
  const at = base + ((iova >> shift) & 0x1ffn) * 8n;
  return andThen(load(table, at), (entry): MaybeAsync<Walk> => {
    if (typeof entry === 'string') return missing(`first-stage entry at ${hex(at)}: ${entry}`, true);
    if ((entry & PRESENT) === 0n) return missing(`first-stage entry at ${hex(at)} is not present`);
    const large = level > 1 && (entry & PAGE_SIZE_BIT) !== 0n;
    if (large && !allowsLarge(table, level, entry, shift))
      return missing(`first-stage entry at ${hex(at)} has reserved bits`, true);
    if ((entry & USER) === 0n) return missing(`first-stage entry at ${hex(at)} is not for user requests`);
    const mayWrite = writable && (entry & WRITE) !== 0n;
    const leaf = large || level === 1;
    if (access === 'write' && !mayWrite) return missing(`first-stage entry at ${hex(at)} allows no writes`);
    const marks =
      ACCESSED | (table.extendedAccess ? EXTENDED_ACCESSED : 0n) | (leaf && access === 'write' ? DIRTY : 0n);
    return andThen(mark(table, at, entry, marks), (refusal): MaybeAsync<Walk> => {
      if (refusal !== undefined) return missing(`first-stage entry at ${hex(at)}: ${refusal}`, true);
      if (!leaf) return step(table, entry & ADDRESS, level - 1, mayWrite, iova, access);
      const address = entry & ADDRESS & ~((1n << shift) - 1n);
      const dirty = ((entry | marks) & DIRTY) !== 0n;
      return { page: { address, shift: Number(shift) as Page['shift'], writable: mayWrite, dirty } };
    });
  });
}

/** Pages of 2 MiB and, where the IOMMU has them, 1 GiB; the address bits below are reserved. */
function allowsLarge(table: FirstStageTable, level: number, entry: bigint, shift: bigint): boolean {
  if (level > 3 || (level === 3 && !table.gigabytePages)) return false;
  return (entry & ADDRESS & ((1n << shift) - 1n) & ~LARGE_PAGE_TYPE) === 0n;
}

const missing = (reason: string, final = false): Walk => ({ fault: { reason, final } });

/** An entry, or why it can't be read. */
function load({ parent }: FirstStageTable, at: bigint): MaybeAsync<bigint | string> {
  const found = parent.translate(at, 8, 'read');
  if (!found.ok) return found.reason;
  const [{ range, offset }] = found.pieces as [(typeof found.pieces)[number]];
  return guarded(() => andThen(range.read(offset, 8), (bytes) => bytes.readBigUInt64LE()));
}

/** Sets bits of an entry that hardware keeps up to date; or why it can't. */
function mark(
  { parent }: FirstStageTable,
  at: bigint,
  entry: bigint,
  marks: bigint,
): MaybeAsync<string | undefined> {
  if ((entry & marks) === marks) return undefined;
  const found = parent.translate(at, 8, 'write');
  if (!found.ok) return found.reason;
  const [{ range, offset }] = found.pieces as [(typeof found.pieces)[number]];
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(entry | marks);
  return guarded(() =>
    andThen(range.write(offset, bytes), () => {
      parent.dirtied(at, 8);
      return undefined;
    }),
  );
}

/** Guest memory that went away (its process exited, its pages were unmapped) is a fault of the walk. */
function guarded<T>(body: () => MaybeAsync<T>): MaybeAsync<T | string> {
  const fail = (error: unknown): string => {
    if (error instanceof KernelError) return error.reason;
    throw error;
  };
  try {
    const result = body();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (error) {
    return fail(error);
  }
}
