/**
 * The registers of one channel that a driver writes, read as a shared page must be read: there, stores can't be trapped; only
 * *changed values* are seen, late and coalesced. So:
 * - Whatever was reported, all registers are looked at, in the reverse of the order in which drivers store them (x86 keeps stores
 *   in order): a doorbell that is visible implies that the CHAINADDR before it is.
 * - What a driver may write twice with the same value reads differently once it was taken: CHAINADDR has bit 0 set (its low six
 *   bits are reserved), INT_REARM reads 0, DMACOUNT shows a number far from any doorbell that can follow.
 * - Where the order of two stores can't be told any more, a command came before the chain: drivers stop, then start.
 * - A change of ours is exchanged against what was read, settled, and looked at again: no store in between is lost.
 * - CHANCMD.RESET stays visible until everything it undoes is undone; drivers wait for that before they ring again.
 * - Writing 1s to CHANERR clears them. A driver that writes back just what it read leaves no trace: RESET and CHAINADDR clear too.
 */
import type { DeviceContext, WatchedRegister } from '../contract.js';
import {
  CHANNEL_STRIDE,
  CHANSTS_STATUS,
  Chanctrl,
  Channel,
  Chansts,
  type RegisterFile,
} from './registers.js';

/** What the channel does about them. `false`: not now, the transfer under way must end first; asked again by attend(). */
export interface DoorbellListener {
  command(command: number): boolean;
  /** A new chain begins at `head`; DMACOUNT counts from 0. */
  chained(head: bigint): boolean;
  rearmed(): void;
  /** `count` descriptors since the chain began, modulo 2^16. */
  rung(count: number): void;
}

/** Rounds of attend() until the main loop gets its turn: a hostile client can store without end. */
const ROUNDS = 64;
const CHAIN_TAKEN = 1n;

/** What DMACOUNT reads once `doorbell` was taken: at least 0x4000 away from what follows it, and from a small count anew. */
function taken(doorbell: number): number {
  return doorbell < 0x8000 ? 0xc000 : 0x6000;
}

export class Doorbells {
  readonly watched: readonly WatchedRegister[];
  private readonly base: number;
  private readonly control: WatchedRegister;
  private readonly command: WatchedRegister;
  private readonly count: WatchedRegister;
  private readonly chain: WatchedRegister;
  /** With CHANERR_MASK: a narrower notification is a trapped write, which clears even what it equals. */
  private readonly errors: WatchedRegister;
  /** How CHAINADDR, DMACOUNT and CHANERR read since they were taken. */
  private shownChain = 0n;
  private shownCount = 0;
  private shownErrors = 0;

  constructor(
    private readonly context: DeviceContext,
    private readonly registers: RegisterFile,
    index: number,
    private readonly listener: DoorbellListener,
  ) {
    this.base = CHANNEL_STRIDE * (index + 1);
    const register = (offset: number, width: WatchedRegister['width']) => ({
      bar: 0,
      offset: this.base + offset,
      width,
    });
    this.control = register(Channel.CHANCTRL, 2);
    this.command = register(Channel.CHANCMD, 1);
    this.count = register(Channel.DMACOUNT, 2);
    this.chain = register(Channel.CHAINADDR, 8);
    this.errors = register(Channel.CHANERR, 8);
    this.watched = [this.control, this.command, this.count, this.chain, this.errors];
  }

  /** Takes everything a driver asks for. False when some of it is left: something must end first, or it is the loop's turn. */
  attend(): boolean {
    const { u8, u16, u32, u64 } = this.registers;
    for (let round = 0; round < ROUNDS; round++) {
      const count = Atomics.load(u16, this.count.offset >> 1);
      const chain = Atomics.load(u64, this.chain.offset >> 3);
      const control = Atomics.load(u16, this.control.offset >> 1);
      const command = Atomics.load(u8, this.command.offset);
      const errors = Atomics.load(u32, this.errors.offset >> 2);
      if (errors !== this.shownErrors) this.acknowledge(0, 4);
      else if (command !== 0) {
        if (!this.takeCommand(command)) return true;
      } else if (control & Chanctrl.INT_REARM) this.takeRearm(control);
      else if (chain !== this.shownChain) {
        if (!this.takeChain(chain, count)) return true;
      } else if (count !== this.shownCount) this.takeCount(count);
      else return true;
    }
    return false;
  }

  /** Write-1-to-clear of `width` bytes at `offset` into CHANERR. */
  acknowledge(offset: number, width: number): void {
    const written = this.registers.u32[this.errors.offset >> 2] as number;
    const mask = width === 4 ? 0xffffffff : ((1 << (8 * width)) - 1) << (8 * offset);
    this.showErrors(this.shownErrors & ~(written & mask));
  }

  /** Sets CHANERR. */
  showErrors(errors: number): void {
    this.shownErrors = errors;
    this.registers.u32[this.errors.offset >> 2] = errors;
    this.context.settled(this.errors);
  }

  get chanerr(): number {
    return this.shownErrors;
  }

  /**
   * RESET: DMACOUNT counts from 0, and a doorbell not taken yet is dropped. Unless CHANSTS reads suspended and CHAINADDR was written:
   * ioat_dev_stop() of DPDK 24.11 waits for no more than that before the next start, so the doorbell is the new chain's.
   */
  clearCount(): void {
    const { u16, u64 } = this.registers;
    // Loaded before the others: one rung after the reset is not dropped.
    const count = Atomics.load(u16, this.count.offset >> 1);
    const status = Atomics.load(u64, (this.base + Channel.CHANSTS) >> 3) & CHANSTS_STATUS;
    const chained = Atomics.load(u64, this.chain.offset >> 3) !== this.shownChain;
    if (count !== this.shownCount && chained && status === BigInt(Chansts.SUSPENDED)) return;
    if (Atomics.compareExchange(u16, this.count.offset >> 1, count, 0) !== count) return;
    this.shownCount = 0;
    this.context.settled(this.count);
  }

  /** The channel's bytes are zero again. */
  powerOn(): void {
    this.shownChain = 0n;
    this.shownCount = 0;
    this.shownErrors = 0;
    for (const register of this.watched) this.context.settled(register);
  }

  save() {
    const { shownChain, shownCount, shownErrors } = this;
    return { shownChain, shownCount, shownErrors };
  }

  load({ shownChain, shownCount, shownErrors }: ReturnType<Doorbells['save']>): void {
    this.shownChain = shownChain;
    this.shownCount = shownCount;
    this.shownErrors = shownErrors;
  }

  private takeCommand(command: number): boolean {
    if (!this.listener.command(command)) return false;
    // A command that came in between stays, for the next round.
    Atomics.compareExchange(this.registers.u8, this.command.offset, command, 0);
    this.context.settled(this.command);
    return true;
  }

  private takeRearm(control: number): void {
    const shown = control & ~Chanctrl.INT_REARM;
    if (Atomics.compareExchange(this.registers.u16, this.control.offset >> 1, control, shown) !== control)
      return;
    this.context.settled(this.control);
    this.listener.rearmed();
  }

  private takeChain(value: bigint, count: number): boolean {
    const head = value & ~CHAIN_TAKEN;
    if (!this.listener.chained(head)) return false;
    const { u16, u64 } = this.registers;
    const shown = head | CHAIN_TAKEN;
    if (Atomics.compareExchange(u64, this.chain.offset >> 3, value, shown) !== value) return true;
    this.shownChain = shown;
    this.context.settled(this.chain);
    // A doorbell not taken yet was rung after CHAINADDR: it belongs to the new chain.
    if (count !== this.shownCount) return true;
    if (Atomics.compareExchange(u16, this.count.offset >> 1, count, 0) !== count) return true;
    this.shownCount = 0;
    this.context.settled(this.count);
    return true;
  }

  private takeCount(count: number): void {
    const shown = taken(count);
    if (Atomics.compareExchange(this.registers.u16, this.count.offset >> 1, count, shown) !== count) return;
    this.shownCount = shown;
    this.context.settled(this.count);
    this.listener.rung(count);
  }
}
