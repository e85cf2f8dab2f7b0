/**
 * The register file of the I/OAT DMA engine (CBDMA 3.x), named as in Linux drivers/dma/ioat/registers.h; DPDK's view of the same
 * bytes is struct ioat_registers. Offsets in bytes: from BAR0 for the engine, from 0x80 · (n + 1) for channel n.
 */

export const Engine = {
  CHANCNT: 0x00,
  XFERCAP: 0x01,
  GENCTRL: 0x02,
  INTRCTRL: 0x03,
  ATTNSTATUS: 0x04,
  CBVER: 0x08,
  INTRDELAY: 0x0c,
  CS_STATUS: 0x0e,
  DMACAPABILITY: 0x10,
} as const;

export const CHANNEL_STRIDE = 0x80;

export const Channel = {
  CHANCTRL: 0x00,
  DMA_COMP: 0x02,
  CHANCMD: 0x04,
  DMACOUNT: 0x06,
  CHANSTS: 0x08,
  CHAINADDR: 0x10,
  CHANCMP: 0x18,
  CHANERR: 0x28,
  CHANERR_MASK: 0x2c,
} as const;

/** CBVER: major 3, minor 3. From 3.4 on DPDK expects recovery within ~10 us of a store, which no watched page can give. */
export const CBVER_3_3 = 0x33;
/** DMA_COMP: compatible with the version 2 programming model. */
export const DMA_COMP_V2 = 0x0002;
/** DMACAPABILITY: block fill; no page break, no XOR, no PQ. */
export const CAP_FILL_BLOCK = 0x40;

export const Intrctrl = {
  MASTER_INT_EN: 0x01,
  INT_STATUS: 0x02,
  INT: 0x04,
  MSIX_VECTOR_CONTROL: 0x08,
} as const;
export const Intrdelay = { DELAY: 0x3fff, COALESCE_SUPPORT: 0x8000 } as const;
export const GENCTRL_DEBUG_EN = 0x01;

export const Chanctrl = { INT_REARM: 0x01, ERR_COMPLETION_EN: 0x04, ERR_INT_EN: 0x10 } as const;
export const Chancmd = { SUSPEND: 0x04, RESUME: 0x10, RESET: 0x20 } as const;
/** CHANSTS bits 2:0; bits 63:6 are the address of the last completed descriptor. */
export const Chansts = { ACTIVE: 0, IDLE: 1, SUSPENDED: 2, HALTED: 3, ARMED: 4 } as const;
export const CHANSTS_STATUS = 0x7n;
export const CHANSTS_ADDRESS = ~0x3fn;

export const Chanerr = {
  SRC_ADDR: 0x1,
  DEST_ADDR: 0x2,
  NEXT_ADDR: 0x4,
  NEXT_DESC_ALIGN: 0x8,
  CHAIN_ADDR_VALUE: 0x10,
  CHANCMD: 0x20,
  CONTROL: 0x400,
  LENGTH: 0x800,
  COMPLETION_ADDR: 0x1000,
} as const;

/** `SRC_ADDR|LENGTH` for 0x801. */
export function chanerrNames(bits: number): string {
  const names = Object.entries(Chanerr).filter(([, bit]) => bits & bit);
  return names.map(([name]) => name).join('|');
}

/**
 * BAR0 as typed arrays: an element is loaded and stored whole, which Buffer's multi-byte methods do not promise, and a client may
 * be reading it at that moment. Indices are byte offset / element size.
 */
export class RegisterFile {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  constructor(memory: Buffer) {
    const { buffer, byteOffset, length } = memory;
    this.u8 = new Uint8Array(buffer, byteOffset, length);
    this.u16 = new Uint16Array(buffer, byteOffset, length >> 1);
    this.u32 = new Uint32Array(buffer, byteOffset, length >> 2);
    this.u64 = new BigUint64Array(buffer, byteOffset, length >> 3);
  }
}
