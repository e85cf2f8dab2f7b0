/** The state of a function beyond its configuration space, for whoever saves and loads it: stopped, read, replaced, let go. */
import { struct, u32 } from '../abi/struct.js';
import {
  type MaybeAsync,
  type ModelDefinition,
  StateRefused,
  type WatchedRegister,
} from '../devices/contract.js';
import { unsaveable } from './check-migration.js';
import type { FunctionInterrupts } from './interrupts.js';
import type { AttachedModel, Bar } from './pci-function.js';

export interface FunctionState {
  /** Version of the model's part; 0 without a model. */
  readonly version: number;
  /** Whether its state can be had at all. */
  readonly canBeSaved: boolean;
  /** Initiates nothing more once it has settled: no DMA, no interrupt. */
  pause(): MaybeAsync<void>;
  resume(): void;
  /** All memory it has: BARs by index, then the model's own. */
  memories(): readonly Buffer[];
  /** What is in no memory; only while paused. */
  save(): Buffer;
  /** Only while paused, and after the memories. StateRefused. */
  load(state: Buffer): void;
}

/** A function, from the inside. */
export interface StateSource {
  readonly bars: readonly (Bar | undefined)[];
  readonly model: AttachedModel | undefined;
  readonly stateVersion: number;
  readonly definition: ModelDefinition | undefined;
  readonly interrupts: FunctionInterrupts | undefined;
  settled(register: WatchedRegister): void;
}

/** Of one model. */
export const LARGEST_MODEL_STATE = 1 << 20;

/** Followed by `pending` u16 vectors and `length` bytes of the model. */
const head = struct('function state', { line: u32, pending: u32, length: u32 });

export class HostFunctionState implements FunctionState {
  constructor(private readonly source: StateSource) {}

  get version(): number {
    return this.source.stateVersion;
  }

  get canBeSaved(): boolean {
    const bars = this.source.bars.flatMap((bar) => bar ?? []);
    return unsaveable({ bars, definition: this.source.definition }) === undefined;
  }

  pause(): MaybeAsync<void> {
    const { model, interrupts } = this.source;
    const paused = model?.model.migration?.pause();
    // After it: what was under way may end with an interrupt.
    return paused instanceof Promise ? paused.then(() => interrupts?.hold()) : interrupts?.hold();
  }

  resume(): void {
    this.source.interrupts?.release();
    this.source.model?.model.migration?.resume();
  }

  memories(): readonly Buffer[] {
    const bars = this.source.bars.flatMap((bar) => bar?.memory ?? []);
    return [...bars, ...(this.source.model?.model.migration?.memories ?? [])];
  }

  save(): Buffer {
    const { model, interrupts } = this.source;
    const state = model?.model.migration?.save() ?? Buffer.alloc(0);
    if (state.length > LARGEST_MODEL_STATE)
      throw new Error(`model ${model?.name} saves ${state.length} bytes: more than ${LARGEST_MODEL_STATE}`);
    const pending = interrupts?.waiting ?? [];
    const vectors = Buffer.alloc(2 * pending.length);
    pending.forEach((vector, i) => void vectors.writeUInt16LE(vector, 2 * i));
    const line = interrupts?.asserted ? 1 : 0;
    return Buffer.concat([
      head.encode({ line, pending: pending.length, length: state.length }),
      vectors,
      state,
    ]);
  }

  load(bytes: Buffer): void {
    const { model, interrupts } = this.source;
    const { line, pending, length } = head.decode(bytes);
    const rest = head.size + 2 * pending;
    if (bytes.length !== rest + length) throw new StateRefused(`${bytes.length} bytes are no such state`);
    for (const register of model?.watched ?? []) this.source.settled(register);
    if (model) model.model.migration!.load(bytes.subarray(rest));
    else if (length > 0) throw new StateRefused('there is no model to take the state');
    const vectors = Array.from({ length: pending }, (_, i) => bytes.readUInt16LE(head.size + 2 * i));
    interrupts?.restore(line !== 0, vectors);
  }
}
