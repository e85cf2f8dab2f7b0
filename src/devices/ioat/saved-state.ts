/** What of the engine stands in no register: the layout in which it migrates. */
import { type Struct, struct, u32, u64, type ValueOf } from '../../abi/struct.js';
import { StateRefused } from '../contract.js';

/** Changes with anything below. */
export const STATE_VERSION = 1;

const engine = struct('ioat engine state', {
  channels: u32,
  xfercap: u32,
  attention: u32,
  intrctrl: u32,
  /** Level of INTx, which lags behind INTRCTRL while the engine is paused. */
  line: u32,
});

const channel = struct('ioat channel state', {
  head: u64,
  completed: u64,
  next: u64,
  previous: u64,
  shownChain: u64,
  count: u32,
  done: u32,
  shownCount: u32,
  shownErrors: u32,
  /** Descriptors to run one by one. */
  single: u32,
  flags: u32,
});

/** Bits of `flags`. */
const flagBits = {
  completionDue: 1 << 0,
  halted: 1 << 1,
  suspended: 1 << 2,
  armed: 1 << 3,
  recovered: 1 << 4,
  /** `previous` counts. */
  linked: 1 << 5,
  lineArmed: 1 << 6,
  lineOwed: 1 << 7,
  lineUnsent: 1 << 8,
} as const;
export type ChannelFlags = Record<keyof typeof flagBits, boolean>;

type Fields<S> = S extends Struct<infer F> ? ValueOf<F> : never;
export type EngineState = Fields<typeof engine>;
export type ChannelState = Omit<Fields<typeof channel>, 'flags'> & { readonly flags: ChannelFlags };

export interface SavedState {
  readonly engine: EngineState;
  readonly channels: readonly ChannelState[];
}

export function encodeState({ engine: head, channels }: SavedState): Buffer {
  const encoded = channels.map((state) => channel.encode({ ...state, flags: toBits(state.flags) }));
  return Buffer.concat([engine.encode(head), ...encoded]);
}

/** A state comes from a client: only what an engine of this kind can be in. */
export function decodeState(bytes: Buffer, options: { channels: number; xfercap: number }): SavedState {
  const head = engine.decode(bytes);
  if (head.channels !== options.channels || head.xfercap !== options.xfercap)
    throw new StateRefused(`${head.channels} channels, xfercap ${head.xfercap}: not this engine's`);
  if (bytes.length !== engine.size + head.channels * channel.size)
    throw new StateRefused(`${bytes.length} bytes are no state of ${head.channels} channels`);
  if (head.attention >= 2 ** head.channels || head.intrctrl > 0xff || head.line > 1)
    throw new StateRefused('engine registers');
  const channels = Array.from({ length: head.channels }, (_, n) =>
    channel.decode(bytes, engine.size + n * channel.size),
  );
  for (const { count, done, shownCount } of channels)
    if (Math.max(count, done, shownCount) > 0xffff) throw new StateRefused('a count of more than 16 bits');
  return { engine: head, channels: channels.map((state) => ({ ...state, flags: fromBits(state.flags) })) };
}

function toBits(flags: ChannelFlags): number {
  return Object.entries(flagBits).reduce(
    (bits, [name, bit]) => (flags[name as keyof ChannelFlags] ? bits | bit : bits),
    0,
  );
}

function fromBits(bits: number): ChannelFlags {
  return Object.fromEntries(
    Object.entries(flagBits).map(([name, bit]) => [name, (bits & bit) !== 0]),
  ) as ChannelFlags;
}
