/** One DMA channel: its state, and the walk along its descriptor chain. Doorbells come from doorbells.ts, descriptors from chain.ts. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type DeviceContext, DmaFault, type MaybeAsync, type WatchedRegister } from '../contract.js';
import { Chain, ChannelError } from './chain.js';
import { type DoorbellListener, Doorbells } from './doorbells.js';
import type { InterruptUnit } from './interrupts.js';
import { Progress } from './progress.js';
import {
  CHANNEL_STRIDE,
  CHANSTS_ADDRESS,
  Chancmd,
  Chanctrl,
  Chanerr,
  Channel,
  Chansts,
  chanerrNames,
  DMA_COMP_V2,
  type RegisterFile,
} from './registers.js';
import { restsSuspended } from './rest.js';
import type { ChannelState } from './saved-state.js';
import { transfer, writeCompletion } from './transfer.js';

/** Operations until the main loop gets its turn: a client can ring 65535 at once. */
const OPERATIONS_PER_TURN = 128;
/** Before a transfer this long, completions so far are written. */
const BULK = 64 << 10;

export class IoatChannel implements DoorbellListener {
  private readonly doorbells: Doorbells;
  private readonly chain: Chain;
  private readonly base: number;
  private readonly writeBack = Buffer.alloc(8);
  private readonly progress = new Progress();

  /** Grows when the walk in progress must end: its transfer may finish, nothing of it counts any more. */
  private epoch = 0;
  private running = false;
  /** In the middle of an operation. */
  private walking = false;
  /** The epoch of the walk: another one says that it was abandoned. */
  private walked = 0;
  private destroyed = false;
  /** Runs nothing; registers are looked at all the same. */
  private paused = false;
  private whenQuiet: (() => void) | undefined;

  constructor(
    private readonly context: DeviceContext,
    private readonly registers: RegisterFile,
    private readonly interrupts: InterruptUnit,
    private readonly index: number,
    largestTransfer: number,
  ) {
    this.base = CHANNEL_STRIDE * (index + 1);
    this.chain = new Chain(context.dma, largestTransfer);
    this.doorbells = new Doorbells(context, registers, index, this);
  }

  get watched(): readonly WatchedRegister[] {
    return this.doorbells.watched;
  }

  /** The client wrote [offset, offset + width) of the channel's block. */
  written(offset: number, width: number): void {
    const intoErrors = offset - Channel.CHANERR;
    if (intoErrors >= 0 && intoErrors < 4 && width <= 4) this.doorbells.acknowledge(intoErrors, width);
    if (offset !== Channel.DMACOUNT) this.publish();
    this.serve();
  }

  /** Function-level reset; the channel's bytes are zero. */
  powerOn(): void {
    this.epoch++;
    this.doorbells.powerOn();
    this.chain.restart(0n);
    this.progress.reset();
    this.interrupts.resetLine(this.index);
    this.publish();
  }

  destroy(): void {
    this.destroyed = true;
    this.epoch++;
  }

  /** Settles between two operations, completions written. */
  pause(): MaybeAsync<void> {
    this.paused = true;
    if (!this.running) return;
    return new Promise((resolve) => {
      this.whenQuiet = resolve;
    });
  }

  resume(): void {
    this.paused = false;
    this.serve();
  }

  save(): ChannelState {
    const progress = this.progress.save();
    const { linked, ...chain } = this.chain.save();
    const flags = { ...progress.flags, linked, ...this.interrupts.saveLine(this.index) };
    return { ...progress, ...chain, ...this.doorbells.save(), flags };
  }

  /** The channel's registers stand already. */
  load(state: ChannelState): void {
    this.epoch++;
    this.progress.load(state);
    this.chain.load({ ...state, linked: state.flags.linked });
    this.doorbells.load(state);
    this.interrupts.loadLine(this.index, state.flags);
    this.publish();
  }

  command(command: number): boolean {
    if (command & Chancmd.RESET) {
      if (this.walking) {
        this.epoch++;
        return false;
      }
      this.resetChannel();
    } else if (command === Chancmd.SUSPEND) this.progress.suspended = !this.progress.halted;
    else if (command === Chancmd.RESUME) this.progress.suspended = false;
    else this.halt(Chanerr.CHANCMD, `CHANCMD 0x${command.toString(16)}`);
    this.publish();
    return true;
  }

  chained(head: bigint): boolean {
    if (this.walking) {
      if (this.progress.pending > 0) this.epoch++;
      return false;
    }
    this.doorbells.showErrors(0);
    this.chain.restart(head);
    this.progress.begin(head);
    this.publish();
    return true;
  }

  rearmed(): void {
    this.interrupts.rearm(this.index);
  }

  rung(count: number): void {
    this.progress.rung(count);
  }

  /**
   * CHANCTRL, CHANCMP and CHAINADDR stay as they read: __ioat_recover() of DPDK writes them without waiting for the reset. Real
   * channels are halted until CHAINADDR is written, then armed until the doorbell; this one reads idle (or suspended: rest.ts) at once,
   * because ioat_dev_start() looks right after the first store, and ioat_alloc_chan_resources() of Linux takes nothing else 20 us after
   * the doorbell: sooner than that store is seen, when CHAINADDR was seen already.
   */
  private resetChannel(): void {
    this.doorbells.clearCount();
    this.doorbells.showErrors(0);
    this.chain.restart(this.progress.head);
    this.progress.begin(this.progress.head);
    this.progress.armed = false;
    this.interrupts.resetLine(this.index);
  }

  private get runnable(): boolean {
    return this.progress.runnable && !this.paused && !this.destroyed;
  }

  serve(): void {
    if (this.destroyed) return;
    if (!this.doorbells.attend()) setImmediate(() => this.serve());
    if (!this.running && this.runnable) void this.run();
    else if (this.paused) this.publish(); // what no walk will show
  }

  /** Runs without a pause as long as DMA answers synchronously; anything but a DMA fault rejects, unhandled: a bug of ours. */
  private async run(): Promise<void> {
    this.running = true;
    try {
      while (this.runnable) {
        await this.walk(this.epoch);
        this.serve();
      }
    } finally {
      this.running = false;
      this.whenQuiet?.();
      this.whenQuiet = undefined;
    }
  }

  private async walk(epoch: number): Promise<void> {
    this.walking = true;
    this.walked = epoch;
    this.publish();
    try {
      let budget = OPERATIONS_PER_TURN;
      while (this.runnable && epoch === this.epoch) {
        const fetching = this.chain.fetch(this.progress.pending);
        if (fetching) await fetching;
        if (epoch !== this.epoch) break;
        const operation = this.chain.take(this.progress.pending);
        if (operation.length >= BULK) {
          const completing = this.complete();
          if (completing) await completing;
        }
        const moving = transfer(this.context.dma, operation);
        if (moving) await moving;
        if (epoch !== this.epoch) break;
        this.progress.advance(operation);
        const turn = --budget === 0;
        if (operation.interrupt || turn || !this.runnable) {
          const completing = this.complete();
          if (completing) await completing;
        }
        if (operation.interrupt && epoch === this.epoch) this.interrupts.request(this.index);
        if (turn) {
          await nextTurn();
          budget = OPERATIONS_PER_TURN;
        }
      }
    } catch (error) {
      if (!(error instanceof DmaFault || error instanceof ChannelError)) throw error;
      if (epoch === this.epoch) await this.fail(error);
    } finally {
      this.walking = false;
      // What was fetched for an abandoned walk is nothing to go on with.
      if (epoch !== this.epoch) this.chain.restart(this.progress.head);
      this.publish();
    }
  }

  /** Writes CHANSTS to CHANCMP if a finished descriptor asked for it. */
  private complete(): MaybeAsync<void> {
    if (!this.progress.completionDue) return;
    this.progress.completionDue = false;
    this.publish();
    return this.writeStatus(this.progress.pending > 0 ? Chansts.ACTIVE : Chansts.IDLE);
  }

  private writeStatus(status: number): MaybeAsync<void> {
    const address = this.registers.u64[(this.base + Channel.CHANCMP) >> 3] as bigint;
    this.writeBack.writeBigUInt64LE(this.chansts(status));
    return writeCompletion(this.context.dma, address, this.writeBack);
  }

  /** An operation failed: run it in parts if it was joined, or stop the channel. */
  private async fail(error: DmaFault | ChannelError): Promise<void> {
    const fault = error instanceof DmaFault;
    if (fault && this.chain.split()) return;
    const bits = fault ? (error.access === 'read' ? Chanerr.SRC_ADDR : Chanerr.DEST_ADDR) : error.bits;
    const epoch = this.epoch;
    try {
      const reported = this.control & Chanctrl.ERR_COMPLETION_EN;
      if (bits !== Chanerr.COMPLETION_ADDR && (reported || this.progress.completionDue)) {
        const writing = this.writeStatus(reported ? Chansts.HALTED : Chansts.ACTIVE);
        if (writing) await writing;
      }
    } catch (second) {
      if (!(second instanceof ChannelError)) throw second;
      if (epoch === this.epoch) this.halt(second.bits, second.message);
    }
    if (epoch === this.epoch) this.halt(bits, error.message);
  }

  private halt(bits: number, reason: string): void {
    this.progress.halted = true;
    this.progress.completionDue = false;
    this.doorbells.showErrors(this.doorbells.chanerr | bits);
    this.context.log(`ioat channel ${this.index} halted, CHANERR ${chanerrNames(bits)}: ${reason}`);
    this.publish();
    const masked = this.registers.u32[(this.base + Channel.CHANERR_MASK) >> 2] as number;
    if (this.control & Chanctrl.ERR_INT_EN && bits & ~masked) this.interrupts.request(this.index);
  }

  private get control(): number {
    return this.registers.u16[(this.base + Channel.CHANCTRL) >> 1] as number;
  }

  private get status(): number {
    if (this.progress.halted) return Chansts.HALTED;
    // Until the completion is written, too: suspended means that nothing of ours lands any more.
    if (this.walking && this.walked === this.epoch) return Chansts.ACTIVE;
    if (this.progress.suspended && !this.walking) return Chansts.SUSPENDED;
    if (this.progress.pending > 0) return Chansts.ACTIVE;
    if (this.progress.recovered) return this.progress.armed ? Chansts.ARMED : Chansts.IDLE;
    return restsSuspended(this.registers, this.base) ? Chansts.SUSPENDED : Chansts.IDLE;
  }

  private chansts(status: number): bigint {
    return (this.progress.completed & CHANSTS_ADDRESS) | BigInt(status);
  }

  /** Refreshes what only the engine writes. */
  publish(): void {
    this.registers.u64[(this.base + Channel.CHANSTS) >> 3] = this.chansts(this.status);
    this.registers.u16[(this.base + Channel.DMA_COMP) >> 1] = DMA_COMP_V2;
  }
}
