/** What the checks of device models have in common: the subject, hostile stores, and ways to look at what came of them. */
import assert from 'node:assert/strict';
import type { FunctionShape, ModelDefinition, WatchedRegister } from '../devices/contract.js';
import { type FakeDeviceContext, quiesce } from './fake-device-context.js';

export interface ConformanceCheck {
  readonly name: string;
  run(): Promise<void>;
}

export interface ConformanceSubject {
  readonly definition: ModelDefinition;
  readonly options?: Record<string, unknown>;
  /**
   * Maps client memory and makes the device do DMA and end with an interrupt; enables the interrupts it needs. The suite runs it with
   * DMA held back, to catch the device at work.
   */
  startWork(context: FakeDeviceContext): void;
}

const WIDTHS = [1, 2, 4, 8] as const;
const NASTY = [
  0n,
  1n,
  0x3fn,
  0x1000n,
  0x7fff_ffffn,
  0xffff_ffffn,
  1n << 63n,
  (1n << 64n) - 64n,
  (1n << 64n) - 1n,
];

/** A fixed sequence: what fails, fails again. */
export function randomness(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The registers: all BARs, but in the one with the MSI-X structures only what lies before them; those are the host's. */
export function snapshot(context: FakeDeviceContext, shape: FunctionShape): Buffer {
  const parts = shape.bars.map(({ index, kind, size }) => {
    if (kind === 'io') return Buffer.alloc(0);
    const bytes = Buffer.from(context.memory(index).subarray(0, size));
    if (shape.msix?.bar === index) bytes.fill(0, Math.min(shape.msix.tableOffset, shape.msix.pbaOffset));
    return bytes;
  });
  return Buffer.concat(parts);
}

/** The first offsets at which the two differ; BARs one after the other. */
export function differing(a: Buffer, b: Buffer): string[] {
  const offsets = [...a.keys()].filter((offset) => a[offset] !== b[offset]);
  return offsets.slice(0, 8).map((offset) => `0x${offset.toString(16)}`);
}

/** Stores of every kind all over the BARs, trapped and mapped, on the watched registers most. */
export async function scribble(
  subject: ConformanceSubject,
  context: FakeDeviceContext,
  seed: number,
  stores: number,
) {
  const shape = subject.definition.shape(subject.options ?? {});
  const model = context.model;
  const pick = randomness(seed);
  const value = () =>
    pick(2) ? (NASTY[pick(NASTY.length)] as bigint) : BigInt(pick(2 ** 32)) << BigInt(pick(33));
  for (let i = 0; i < stores; i++) {
    const bar = shape.bars[pick(shape.bars.length)];
    if (!bar) return;
    const watched = (model.watched ?? []).filter((register) => register.bar === bar.index);
    const target: WatchedRegister | undefined = pick(2) ? watched[pick(watched.length || 1)] : undefined;
    const width = target?.width ?? (WIDTHS[pick(4)] as WatchedRegister['width']);
    const offset = target?.offset ?? Math.floor(pick(bar.size) / width) * width;
    if (bar.kind === 'io') {
      model.portWrite?.(bar.index, offset, width, Number(BigInt.asUintN(8 * Math.min(width, 4), value())));
      model.portRead?.(bar.index, offset, width);
    } else if (pick(2)) context.trap(bar.index, offset, width, value());
    else {
      context.store(bar.index, offset, width, value());
      if (pick(3) === 0) context.look(pick(2) ? undefined : (seen) => seen.reverse());
    }
    if (bar.kind !== 'io' && pick(16) === 0) context.trapLoad(bar.index, offset, width);
    if (pick(64) === 0) await quiesce(context);
  }
  context.look();
  await quiesce(context);
}

/** Fails when something is rejected with nobody to hear it while `body` runs. */
export async function withoutStrayRejections(body: () => Promise<void>): Promise<void> {
  const strays: unknown[] = [];
  const listen = (reason: unknown) => void strays.push(reason);
  process.on('unhandledRejection', listen);
  try {
    await body();
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('unhandledRejection', listen);
  }
  assert.deepEqual(strays, []);
}
