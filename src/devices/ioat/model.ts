/** The engine: what all channels share, and the way from BAR0 to them. */
import type { DeviceContext, DeviceModel, ModelMigration, WatchedRegister } from '../contract.js';
import { IoatChannel } from './channel.js';
import { INTRCTRL_REGISTER, InterruptUnit } from './interrupts.js';
import {
  CAP_FILL_BLOCK,
  CBVER_3_3,
  CHANNEL_STRIDE,
  Engine,
  GENCTRL_DEBUG_EN,
  Intrdelay,
  RegisterFile,
} from './registers.js';
import { decodeState, encodeState, type SavedState } from './saved-state.js';

export interface IoatOptions {
  /** 1…8; each has its MSI-X vector. Sky Lake-E has one channel per function. */
  readonly channels: number;
  /** log2 of the largest transfer of one descriptor, in bytes. */
  readonly xfercap: number;
}

export class IoatModel implements DeviceModel {
  readonly watched: readonly WatchedRegister[];
  private readonly memory: Buffer;
  private readonly registers: RegisterFile;
  private readonly interrupts: InterruptUnit;
  private readonly channels: readonly IoatChannel[];
  private destroyed = false;
  readonly migration: ModelMigration = {
    pause: () => this.pause(),
    resume: () => this.resume(),
    save: () =>
      encodeState({
        engine: { ...this.options, ...this.interrupts.save() },
        channels: this.channels.map((channel) => channel.save()),
      }),
    load: (bytes) => this.load(decodeState(Buffer.from(bytes), this.options)),
  };

  /** `msix`: the byte ranges [start, end) of BAR0 that are not the engine's, in order. */
  constructor(
    context: DeviceContext,
    private readonly options: IoatOptions,
    private readonly msix: readonly (readonly [start: number, end: number])[],
  ) {
    this.memory = context.memory(0);
    this.registers = new RegisterFile(this.memory);
    this.interrupts = new InterruptUnit(context, this.registers, options.channels);
    this.channels = Array.from(
      { length: options.channels },
      (_, n) => new IoatChannel(context, this.registers, this.interrupts, n, 2 ** options.xfercap),
    );
    this.watched = [INTRCTRL_REGISTER, ...this.channels.flatMap((channel) => channel.watched)];
    this.reset();
  }

  written(bar: number, offset: number, width: number): void {
    if (bar !== 0 || this.destroyed) return;
    const block = Math.floor(offset / CHANNEL_STRIDE);
    if (block > 0) this.channels[block - 1]?.written(offset % CHANNEL_STRIDE, width);
    else {
      this.publish();
      this.interrupts.attend();
      // Whether they rest suspended depends on INTRCTRL.
      for (const channel of this.channels) channel.publish();
    }
  }

  attend(): void {
    if (this.destroyed) return;
    for (const channel of this.channels) channel.serve();
    this.interrupts.attend();
  }

  reset(): void {
    let from = 0;
    for (const [start, end] of this.msix) {
      this.memory.fill(0, from, start);
      from = end;
    }
    this.memory.fill(0, from);
    this.publish();
    for (const channel of this.channels) channel.powerOn();
    this.interrupts.reset();
  }

  /** Channels first: the last operation of each may end with an interrupt. */
  private async pause(): Promise<void> {
    await Promise.all(this.channels.map((channel) => channel.pause()));
    this.interrupts.pause();
  }

  private resume(): void {
    this.interrupts.resume();
    for (const channel of this.channels) channel.resume();
  }

  private load({ engine, channels }: SavedState): void {
    for (const [n, state] of channels.entries()) (this.channels[n] as IoatChannel).load(state);
    this.interrupts.load(engine);
    this.publish();
  }

  destroy(): void {
    for (const channel of this.channels) channel.destroy();
    this.interrupts.reset();
    this.destroyed = true;
  }

  /** Refreshes what a client can't change, and keeps of the rest what can be set. */
  private publish(): void {
    const { u8, u16, u32 } = this.registers;
    u8[Engine.CHANCNT] = this.options.channels;
    u8[Engine.XFERCAP] = this.options.xfercap;
    u8[Engine.GENCTRL] = (u8[Engine.GENCTRL] as number) & GENCTRL_DEBUG_EN;
    u8[Engine.CBVER] = CBVER_3_3;
    u32[Engine.ATTNSTATUS >> 2] = this.interrupts.attention;
    const delay = (u16[Engine.INTRDELAY >> 1] as number) & Intrdelay.DELAY;
    u16[Engine.INTRDELAY >> 1] = Intrdelay.COALESCE_SUPPORT | delay;
    u16[Engine.CS_STATUS >> 1] = 0;
    u32[Engine.DMACAPABILITY >> 2] = CAP_FILL_BLOCK;
  }
}
