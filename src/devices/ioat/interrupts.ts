/**
 * The engine's interrupt logic: INTRCTRL, ATTNSTATUS, INTRDELAY and each channel's INT_REARM.
 *
 * A channel sends one interrupt and then waits for CHANCTRL.INT_REARM, as ioat_cleanup_event() writes it; what completes meanwhile
 * is remembered and sent on re-arming. Real registers clear ATTNSTATUS and MASTER_INT_EN when read; a read through a mapping can't
 * be seen, so here attention lasts until the channel is re-armed and the enable bit stays set: ioat_dma_do_interrupt() works with both.
 */
import type { DeviceContext, WatchedRegister } from '../contract.js';
import { Engine, Intrctrl, Intrdelay, type RegisterFile } from './registers.js';
import type { ChannelFlags } from './saved-state.js';

export const INTRCTRL_REGISTER: WatchedRegister = { bar: 0, offset: Engine.INTRCTRL, width: 1 };
/** A client that stores without end must not hold the main loop. */
const ROUNDS = 64;
const WRITABLE = Intrctrl.MASTER_INT_EN | Intrctrl.MSIX_VECTOR_CONTROL;

interface Line {
  armed: boolean;
  /** An interrupt was asked for while not armed. */
  owed: boolean;
  /** Its attention bit is set and no message went out for it yet: INTRCTRL.MASTER_INT_EN was clear. */
  unsent: boolean;
  /** Cancels the INTRDELAY timer while it runs. */
  cancel: (() => void) | undefined;
}

function quietLine(): Line {
  return { armed: true, owed: false, unsent: false, cancel: undefined };
}

export class InterruptUnit {
  private readonly lines: Line[];
  /** ATTNSTATUS. */
  attention = 0;
  /** INTRCTRL as last shown. */
  private shown = 0;
  private asserted = false;
  private paused = false;

  constructor(
    private readonly context: DeviceContext,
    private readonly registers: RegisterFile,
    channels: number,
  ) {
    this.lines = Array.from({ length: channels }, quietLine);
  }

  /** Channel `n` has a reason to interrupt. */
  request(n: number): void {
    const line = this.lines[n] as Line;
    if (!line.armed || this.paused) line.owed = true;
    else if (!line.cancel) this.schedule(n, line);
  }

  /** CHANCTRL.INT_REARM was written on channel `n`. */
  rearm(n: number): void {
    const line = this.lines[n] as Line;
    const { owed } = line;
    line.armed = true;
    line.owed = false;
    line.unsent = false;
    this.setAttention(this.attention & ~(1 << n));
    if (owed) this.request(n);
  }

  /** Reset of channel `n`: armed, nothing owed. */
  resetLine(n: number): void {
    const line = this.lines[n] as Line;
    line.cancel?.();
    this.lines[n] = quietLine();
    this.setAttention(this.attention & ~(1 << n));
  }

  /** Takes what a client may have written to INTRCTRL: an enable sends what waits for it. */
  attend(): void {
    if (this.registers.u8[Engine.INTRCTRL] !== this.shown) this.publish();
  }

  /** Function-level reset: the registers are already at their power-on values. */
  reset(): void {
    for (const n of this.lines.keys()) this.resetLine(n);
    this.publish();
  }

  /** Sends nothing; what would be sent is owed. */
  pause(): void {
    this.paused = true;
    for (const line of this.lines) {
      if (!line.cancel) continue;
      line.cancel();
      line.cancel = undefined;
      line.owed = true;
    }
  }

  resume(): void {
    this.paused = false;
    this.attend();
    this.deliver();
    for (const [n, line] of this.lines.entries()) {
      if (!line.owed || !line.armed) continue;
      line.owed = false;
      this.request(n);
    }
  }

  saveLine(n: number): Pick<ChannelFlags, 'lineArmed' | 'lineOwed' | 'lineUnsent'> {
    const { armed, owed, unsent } = this.lines[n] as Line;
    return { lineArmed: armed, lineOwed: owed, lineUnsent: unsent };
  }

  loadLine(n: number, flags: ChannelFlags): void {
    (this.lines[n] as Line).cancel?.();
    const { lineArmed: armed, lineOwed: owed, lineUnsent: unsent } = flags;
    this.lines[n] = { armed, owed, unsent, cancel: undefined };
  }

  save() {
    return { attention: this.attention, intrctrl: this.shown, line: this.asserted ? 1 : 0 };
  }

  /** The lines are loaded already, and the level of INTx is the host's to restore. */
  load({ attention, intrctrl, line }: ReturnType<InterruptUnit['save']>): void {
    this.attention = attention;
    this.shown = intrctrl;
    this.asserted = line !== 0;
  }

  private schedule(n: number, line: Line): void {
    const microseconds = (this.registers.u16[Engine.INTRDELAY >> 1] as number) & Intrdelay.DELAY;
    if (microseconds === 0) {
      this.fire(n, line);
      return;
    }
    line.cancel = this.context.clock.after(microseconds / 1000, () => {
      line.cancel = undefined;
      this.fire(n, line);
    });
  }

  private fire(n: number, line: Line): void {
    line.armed = false;
    line.unsent = true;
    this.setAttention(this.attention | (1 << n));
  }

  private setAttention(attention: number): void {
    if (attention === this.attention) return;
    this.attention = attention;
    this.registers.u32[Engine.ATTNSTATUS >> 2] = attention;
    this.publish();
  }

  /** INTRCTRL = the client's enable bits and our status bits; messages and the INTx line follow. */
  private publish(): void {
    const { u8 } = this.registers;
    for (let round = 0; round < ROUNDS; round++) {
      const written = Atomics.load(u8, Engine.INTRCTRL);
      let value = written & WRITABLE;
      if (this.attention) value |= Intrctrl.INT_STATUS;
      if (this.attention && value & Intrctrl.MASTER_INT_EN) value |= Intrctrl.INT;
      if (Atomics.compareExchange(u8, Engine.INTRCTRL, written, value) !== written) continue;
      this.shown = value;
      this.context.settled(INTRCTRL_REGISTER);
      if (Atomics.load(u8, Engine.INTRCTRL) === value) break;
    }
    this.deliver();
  }

  private deliver(): void {
    if (this.paused) return;
    const asserted = (this.shown & Intrctrl.INT) !== 0;
    if (asserted !== this.asserted) {
      this.asserted = asserted;
      this.context.interrupts.intx(asserted);
    }
    if (!asserted) return;
    for (const [n, line] of this.lines.entries()) {
      if (!line.unsent) continue;
      line.unsent = false;
      // One vector per channel, or all on vector 0 with ATTNSTATUS telling them apart (IOAT_MSIX, IOAT_MSI).
      this.context.interrupts.msi(this.shown & Intrctrl.MSIX_VECTOR_CONTROL ? n : 0);
    }
  }
}
