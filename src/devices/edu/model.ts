/** The device behind the registers: a complement, a factorial, one DMA channel with a buffer, and an interrupt with a reason for each. */
import type { DeviceContext, DeviceModel, StoreSeen, WatchedRegister } from '../contract.js';
import {
  BAR_SIZE,
  Command,
  DMA_DELAY,
  DmaRegister,
  IDENTIFICATION,
  Interrupt,
  REGISTERS_END,
  Register,
  Status,
} from './registers.js';
import { TransferBuffer } from './transfer.js';

const ONES = 0xffff_ffff;
/** Not at once: users are to look at STATUS. */
const FACTORIAL_DELAY = 1;

/**
 * In the order in which stores that were seen together count: an acknowledgement belongs to an interrupt of before, and the count,
 * the addresses and STATUS are written before what they are for.
 */
const order: readonly number[] = [
  Register.LIVENESS,
  Register.STATUS,
  Register.FACTORIAL,
  Register.ACKNOWLEDGE,
  Register.RAISE,
  DmaRegister.SOURCE,
  DmaRegister.DESTINATION,
  DmaRegister.COUNT,
  DmaRegister.COMMAND,
];
const isWide = (offset: number): boolean => offset >= DmaRegister.SOURCE;
const widthOf = (offset: number): 4 | 8 => (isWide(offset) ? 8 : 4);

export class EduModel implements DeviceModel {
  readonly watched: readonly WatchedRegister[] = order.map((offset) => ({
    bar: 0,
    offset,
    width: widthOf(offset),
  }));
  private readonly u32: Uint32Array;
  private readonly u64: BigUint64Array;
  /** The registers as the model last left them: what differs was stored by a client. */
  private readonly shown = Buffer.alloc(REGISTERS_END);
  private readonly buffer: TransferBuffer;
  private interruptStatus = 0;
  /** Cancel what waits for the clock. */
  private factorial: (() => void) | undefined;
  private transfer: (() => void) | undefined;
  private epoch = 0;
  private destroyed = false;

  constructor(
    private readonly context: DeviceContext,
    dmaMask: bigint,
  ) {
    const { buffer, byteOffset } = context.memory(0);
    this.u32 = new Uint32Array(buffer, byteOffset, BAR_SIZE / 4);
    this.u64 = new BigUint64Array(buffer, byteOffset, BAR_SIZE / 8);
    this.buffer = new TransferBuffer(context, dmaMask);
    this.powerOn();
  }

  written(_bar: number, offset: number, width: number, seen: StoreSeen): void {
    if (this.destroyed) return;
    const named = order.includes(offset) && (width === 4 || width === widthOf(offset));
    if (!named) this.restore(offset, width);
    else if (isWide(offset) && width === 4) this.u64[offset / 8] = BigInt(this.u32[offset / 4] as number);
    this.look(named && seen === 'trapped' ? offset : undefined);
  }

  attend(): void {
    if (!this.destroyed) this.look();
  }

  /** What can't be written may have been, through a mapping. */
  reading(_bar: number, offset: number, width: number): void {
    if (this.destroyed) return;
    this.look();
    this.restore(offset, width);
  }

  reset(): void {
    this.stop();
    this.powerOn();
  }

  destroy(): void {
    this.stop();
    this.destroyed = true;
  }

  /** Takes what was stored, and `also` whatever stands there. */
  private look(also?: number): void {
    for (const register of order) if (register === also || this.differs(register)) this.take(register);
  }

  private stop(): void {
    this.epoch++;
    this.factorial?.();
    this.transfer?.();
    this.factorial = undefined;
    this.transfer = undefined;
    this.interruptStatus = 0;
    this.context.interrupts.intx(false);
  }

  private powerOn(): void {
    this.context.memory(0).fill(0xff);
    this.shown.fill(0xff);
    this.buffer.clear();
    this.show(Register.ID, IDENTIFICATION);
    for (const register of [
      Register.LIVENESS,
      Register.FACTORIAL,
      Register.STATUS,
      Register.INTERRUPT_STATUS,
    ])
      this.show(register, 0);
    for (const register of [Register.RAISE, Register.ACKNOWLEDGE]) this.show(register, ONES);
    for (const register of Object.values(DmaRegister)) this.show(register, 0n);
  }

  /** A client has written `register`: what stands there is what it wrote. */
  private take(register: number): void {
    const value = this.u32[register / 4] as number;
    switch (register) {
      case Register.LIVENESS:
        this.show(register, ~value);
        break;
      case Register.STATUS:
        this.show(register, (this.status & Status.COMPUTING) | (value & Status.IRQ_WHEN_DONE));
        break;
      case Register.FACTORIAL:
        this.compute(value);
        break;
      case Register.RAISE:
        this.show(register, ONES);
        this.raise(value);
        break;
      case Register.ACKNOWLEDGE:
        this.show(register, ONES);
        this.lower(value);
        break;
      default:
        this.takeDma(register);
    }
  }

  private get status(): number {
    return this.shown.readUInt32LE(Register.STATUS);
  }

  private compute(n: number): void {
    if (this.factorial) {
      this.restore(Register.FACTORIAL, 4);
      return;
    }
    this.show(Register.FACTORIAL, n);
    this.show(Register.STATUS, this.status | Status.COMPUTING);
    this.factorial = this.context.clock.after(FACTORIAL_DELAY, () => {
      this.factorial = undefined;
      this.show(Register.FACTORIAL, factorial(n));
      this.show(Register.STATUS, this.status & ~Status.COMPUTING);
      if (this.status & Status.IRQ_WHEN_DONE) this.raise(Interrupt.FACTORIAL);
    });
  }

  private takeDma(register: number): void {
    const value = this.u64[register / 8] as bigint;
    if (this.transfer || (register === DmaRegister.COMMAND && (value & Command.RUN) === 0n)) {
      this.restore(register, 8);
      return;
    }
    this.show(register, value);
    if (register !== DmaRegister.COMMAND) return;
    const epoch = this.epoch;
    this.transfer = this.context.clock.after(DMA_DELAY, () => void this.run(value, epoch));
  }

  private async run(command: bigint, epoch: number): Promise<void> {
    const moving = this.buffer.move(
      (command & Command.TO_MEMORY) !== 0n,
      this.shown.readBigUInt64LE(DmaRegister.SOURCE),
      this.shown.readBigUInt64LE(DmaRegister.DESTINATION),
      this.shown.readBigUInt64LE(DmaRegister.COUNT),
      () => epoch === this.epoch,
    );
    if (moving) await moving;
    if (epoch !== this.epoch) return;
    this.transfer = undefined;
    this.show(DmaRegister.COMMAND, command & ~Command.RUN);
    if (command & Command.IRQ_WHEN_DONE) this.raise(Interrupt.DMA);
  }

  /** With messages on, each raise sends one, also for bits that are set already; the line just stays where it is. */
  private raise(bits: number): void {
    const { interrupts } = this.context;
    this.showInterrupts(this.interruptStatus | bits);
    if (this.interruptStatus === 0) return;
    if (interrupts.mode === 'intx') interrupts.intx(true);
    else interrupts.msi(0);
  }

  private lower(bits: number): void {
    this.showInterrupts(this.interruptStatus & ~bits);
    if (this.interruptStatus === 0) this.context.interrupts.intx(false);
  }

  private showInterrupts(bits: number): void {
    this.interruptStatus = bits >>> 0;
    this.show(Register.INTERRUPT_STATUS, this.interruptStatus);
  }

  private differs(register: number): boolean {
    return isWide(register)
      ? this.u64[register / 8] !== this.shown.readBigUInt64LE(register)
      : this.u32[register / 4] !== this.shown.readUInt32LE(register);
  }

  private show(register: number, value: number | bigint): void {
    if (typeof value === 'bigint') this.shown.writeBigUInt64LE(value, register);
    else this.shown.writeUInt32LE(value >>> 0, register);
    this.restore(register, widthOf(register));
  }

  /** Puts back what the model shows at [offset, offset + width). */
  private restore(offset: number, width: number): void {
    if (offset >= REGISTERS_END) this.context.memory(0).fill(0xff, offset, offset + width);
    else if (width === 8 && isWide(offset)) this.u64[offset / 8] = this.shown.readBigUInt64LE(offset);
    else if (width === 4) this.u32[offset / 4] = this.shown.readUInt32LE(offset);
    else this.shown.copy(this.context.memory(0), offset, offset, offset + width);
    for (const register of this.watched)
      if (register.offset < offset + width && offset < register.offset + register.width)
        this.context.settled(register);
  }
}

/** Modulo 2^32: 34! has 32 factors of two. */
function factorial(n: number): number {
  if (n >= 34) return 0;
  let product = 1;
  for (let factor = n; factor > 1; factor--) product = Math.imul(product, factor);
  return product >>> 0;
}
