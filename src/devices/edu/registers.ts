/** The register file of QEMU's `edu` (docs/specs/edu.rst, hw/misc/edu.c): offsets in BAR 0, in bytes. What is no register reads as ones. */

export const BAR_SIZE = 1 << 20;

/** 32 bits each; accesses of another width are ignored. */
export const Register = {
  /** Read-only: 0xRRrr00edu, major and minor version. */
  ID: 0x00,
  /** Shows the complement of what is written. */
  LIVENESS: 0x04,
  /** Write n; shows n! once STATUS no longer says computing. */
  FACTORIAL: 0x08,
  STATUS: 0x20,
  /** Read-only: the bits of all raised interrupts. */
  INTERRUPT_STATUS: 0x24,
  /** Write-only: bits to raise, bits to take back. */
  RAISE: 0x60,
  ACKNOWLEDGE: 0x64,
} as const;

/** 64 bits each; 32 are written zero-extended. Ignored while a transfer runs. */
export const DmaRegister = {
  SOURCE: 0x80,
  DESTINATION: 0x88,
  COUNT: 0x90,
  COMMAND: 0x98,
} as const;

/** Behind the last register. */
export const REGISTERS_END = 0xa0;

export const IDENTIFICATION = 0x010000ed;
export const Status = { COMPUTING: 0x01, IRQ_WHEN_DONE: 0x80 } as const;
export const Command = { RUN: 1n, TO_MEMORY: 2n, IRQ_WHEN_DONE: 4n } as const;
/** Bits of INTERRUPT_STATUS that the device itself raises. */
export const Interrupt = { FACTORIAL: 0x001, DMA: 0x100 } as const;

/** The device's own memory, as SOURCE and DESTINATION name it; it can't be seen otherwise. */
export const BUFFER_START = 0x40000n;
export const BUFFER_SIZE = 4096;
/** Milliseconds from COMMAND to the transfer. */
export const DMA_DELAY = 100;
/** 28 bits, by default. */
export const DMA_MASK = 0x0fff_ffff;
