/**
 * Which bits of configuration space are kept in the shadow copy (virtual) and which a client may write (struct perm_bits of
 * vfio_pci_config.c), as data. What a table does not name is read from the hardware and not writable.
 */

/** Offset from the start of the header or capability, width in bytes, virtual bits, writable bits. */
export type Field = readonly [offset: number, width: 1 | 2 | 4, virtual: number, writable: number];

export const NONE = 0;
export const ALL = 0xffffffff;

export interface Rules {
  /** Bytes of the capability that starts at `at`, header included. */
  length(config: Buffer, at: number): number;
  fields(config: Buffer, at: number): readonly Field[];
  /** Everything behind the header goes to the hardware as written (vendor-specific capabilities). */
  readonly raw?: boolean;
}

/** A capability nobody may write to, of fixed or computed length. */
export function readOnly(length: number | Rules['length']): Rules {
  return { length: typeof length === 'number' ? () => length : length, fields: () => [] };
}

export function fixed(length: number, fields: readonly Field[]): Rules {
  return { length: () => length, fields: () => fields };
}
