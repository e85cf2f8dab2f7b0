/**
 * One port: a 16550 with a plug that leads what it sends back to it, and its outputs RTS and DTR to CTS and to DSR and DCD. Sending takes no
 * time, so the transmitter is always empty; characters that fill no FIFO to its level count as timed out at once.
 */
import {
  Cause,
  DLAB,
  Enable,
  FIFO_SIZE,
  Fifo,
  IIR_FIFOS,
  Line,
  Modem,
  Register,
  Status,
  triggers,
} from './registers.js';

export class Uart {
  private readonly received: number[] = [];
  private enabled = 0;
  private fifo = 0;
  private line = 0;
  private modem = 0;
  private scratch = 0;
  private divisor = 0;
  private overrun = false;
  /** The transmitter has become empty since IIR told of it. */
  private emptied = true;
  private inputs = 0;
  private changes = 0;

  /** Something it is enabled for waits: the level of its line. */
  get pending(): boolean {
    return this.cause !== Cause.NONE;
  }

  reset(): void {
    this.received.length = 0;
    this.enabled = this.fifo = this.line = this.modem = this.scratch = this.divisor = 0;
    this.inputs = this.changes = 0;
    this.overrun = false;
    this.emptied = true;
  }

  read(register: number): number {
    const divisor = (this.line & DLAB) !== 0;
    switch (register) {
      case Register.DATA:
        return divisor ? this.divisor & 0xff : (this.received.shift() ?? 0);
      case Register.IER:
        return divisor ? this.divisor >> 8 : this.enabled;
      case Register.IIR_FCR:
        return this.readCause();
      case Register.LCR:
        return this.line;
      case Register.MCR:
        return this.modem;
      case Register.LSR:
        return this.readLine();
      case Register.MSR:
        return this.readStatus();
      default:
        return this.scratch;
    }
  }

  write(register: number, value: number): void {
    const divisor = (this.line & DLAB) !== 0;
    switch (register) {
      case Register.DATA:
        if (divisor) this.divisor = (this.divisor & 0xff00) | value;
        else this.send(value);
        break;
      case Register.IER:
        if (divisor) this.divisor = (value << 8) | (this.divisor & 0xff);
        else this.enable(value & 0x0f);
        break;
      case Register.IIR_FCR:
        this.control(value);
        break;
      case Register.LCR:
        this.line = value;
        break;
      case Register.MCR:
        this.steer(value & 0x1f);
        break;
      case Register.SCR:
        this.scratch = value;
        break;
    }
  }

  private send(value: number): void {
    const room = this.fifo & Fifo.ENABLE ? FIFO_SIZE : 1;
    if (this.received.length < room) this.received.push(value);
    else {
      this.overrun = true;
      // Without a FIFO the new character takes the place of the old one.
      if (room === 1) this.received[0] = value;
    }
    this.emptied = true;
  }

  private enable(value: number): void {
    if (value & ~this.enabled & Enable.TRANSMIT_EMPTY) this.emptied = true;
    this.enabled = value;
  }

  private control(value: number): void {
    if (((value ^ this.fifo) & Fifo.ENABLE) !== 0 || (value & Fifo.CLEAR_RECEIVE) !== 0)
      this.received.length = 0;
    this.fifo = value & ~(Fifo.CLEAR_RECEIVE | Fifo.CLEAR_TRANSMIT);
  }

  private steer(value: number): void {
    this.modem = value;
    const on = (output: number, input: number) => (value & output ? input : 0);
    const plugged = on(Modem.RTS, Status.CTS) | on(Modem.DTR, Status.DSR | Status.DCD);
    const looped =
      on(Modem.RTS, Status.CTS) |
      on(Modem.DTR, Status.DSR) |
      on(Modem.OUT1, Status.RI) |
      on(Modem.OUT2, Status.DCD);
    const inputs = value & Modem.LOOP ? looped : plugged;
    const differ = inputs ^ this.inputs;
    // The end of a ring counts, its start does not (TERI).
    const counted = inputs & Status.RI ? differ & ~Status.RI : differ;
    this.changes |= counted >> 4;
    this.inputs = inputs;
  }

  private get cause(): number {
    const { enabled, received } = this;
    const trigger = this.fifo & Fifo.ENABLE ? triggers[this.fifo >> 6]! : 1;
    if (enabled & Enable.LINE && this.overrun) return Cause.LINE;
    if (enabled & Enable.RECEIVED && received.length >= trigger) return Cause.RECEIVED;
    if (enabled & Enable.RECEIVED && received.length > 0) return Cause.TIMEOUT;
    if (enabled & Enable.TRANSMIT_EMPTY && this.emptied) return Cause.TRANSMIT_EMPTY;
    return enabled & Enable.MODEM && this.changes !== 0 ? Cause.MODEM : Cause.NONE;
  }

  private readCause(): number {
    const { cause } = this;
    if (cause === Cause.TRANSMIT_EMPTY) this.emptied = false;
    return cause | (this.fifo & Fifo.ENABLE ? IIR_FIFOS : 0);
  }

  private readLine(): number {
    const status =
      Line.TRANSMIT_EMPTY |
      Line.IDLE |
      (this.received.length > 0 ? Line.READY : 0) |
      (this.overrun ? Line.OVERRUN : 0);
    this.overrun = false;
    return status;
  }

  private readStatus(): number {
    const status = this.inputs | this.changes;
    this.changes = 0;
    return status;
  }
}
