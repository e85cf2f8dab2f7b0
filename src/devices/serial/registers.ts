/** Registers of a 16550 UART (PC16550D data sheet; include/uapi/linux/serial_reg.h). */
export const Register = { DATA: 0, IER: 1, IIR_FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;
/** With DLAB: the divisor's halves in place of DATA and IER. */
export const DLAB = 0x80;

export const Enable = { RECEIVED: 0x01, TRANSMIT_EMPTY: 0x02, LINE: 0x04, MODEM: 0x08 } as const;
/** IIR: what waits, the highest first. */
export const Cause = {
  NONE: 0x01,
  LINE: 0x06,
  RECEIVED: 0x04,
  TIMEOUT: 0x0c,
  TRANSMIT_EMPTY: 0x02,
  MODEM: 0x00,
} as const;
export const IIR_FIFOS = 0xc0;

export const Fifo = { ENABLE: 0x01, CLEAR_RECEIVE: 0x02, CLEAR_TRANSMIT: 0x04 } as const;
/** By FCR bits 7:6. */
export const triggers = [1, 4, 8, 14] as const;
export const FIFO_SIZE = 16;

export const Line = { READY: 0x01, OVERRUN: 0x02, TRANSMIT_EMPTY: 0x20, IDLE: 0x40 } as const;
export const Modem = { DTR: 0x01, RTS: 0x02, OUT1: 0x04, OUT2: 0x08, LOOP: 0x10 } as const;
/** MSR: inputs, and below them which have changed since the last look. */
export const Status = { CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80, CHANGES: 0x0f } as const;
