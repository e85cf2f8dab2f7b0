/**
 * What every device model must bear, whatever it models: a hostile client, memory that isn't there, a reset in the middle.
 * Framework-free: each check throws AssertionError, so `for (const { name, run } of modelConformance(m)) it(name, run)`.
 */
import assert from 'node:assert/strict';
import type { FunctionShape } from '../devices/contract.js';
import {
  type ConformanceCheck,
  type ConformanceSubject,
  differing,
  scribble,
  snapshot,
  withoutStrayRejections,
} from './conformance-kit.js';
import { FakeDeviceContext, quiesce } from './fake-device-context.js';
import { migrationConformance } from './migration-conformance.js';

export type { ConformanceCheck, ConformanceSubject } from './conformance-kit.js';

export function modelConformance(subject: ConformanceSubject): ConformanceCheck[] {
  const options = subject.options ?? {};
  const shape = subject.definition.shape(options);
  const fresh = () => FakeDeviceContext.create(subject.definition, options);
  const hostile = (name: string, prepare: (context: FakeDeviceContext) => void): ConformanceCheck => ({
    name,
    run: () =>
      withoutStrayRejections(async () => {
        for (const timing of ['now', 'later'] as const) {
          const { context, model } = fresh();
          prepare(context);
          context.dma.timing = timing;
          await scribble(subject, context, 1, 2000);
          context.clock.advance(1e6);
          await quiesce(context);
          model.destroy?.();
        }
      }),
  });
  const atWork = async () => {
    const { context, model } = fresh();
    context.dma.timing = 'held';
    subject.startWork(context);
    await quiesce(context);
    assert.notEqual(context.dma.waiting, 0, 'startWork must lead to DMA');
    return { context, model };
  };
  return [
    { name: 'has a shape that a bus can hold', run: async () => checkShape(shape) },
    {
      name: 'watches registers that exist, aligned, and the same for life',
      run: async () => {
        const { model } = fresh();
        for (const { bar, offset, width } of model.watched ?? []) {
          const spec = shape.bars.find(({ index }) => index === bar);
          assert.ok(
            spec && spec.kind !== 'io' && offset >= 0 && offset + width <= spec.size,
            `${bar}:${offset}`,
          );
          assert.equal(offset % width, 0, `${bar}:${offset} is not aligned to ${width}`);
        }
        const before = JSON.stringify(model.watched);
        model.reset();
        assert.equal(JSON.stringify(model.watched), before);
      },
    },
    {
      name: 'finishes the work it is given, and interrupts',
      run: async () => {
        const { context } = fresh();
        subject.startWork(context);
        await quiesce(context);
        context.clock.advance(1e6);
        assert.ok(context.messages.length > 0 || context.line, 'no interrupt');
      },
    },
    {
      name: 'settles every watched register that it changes itself',
      run: async () => {
        const { context } = fresh();
        subject.startWork(context);
        await quiesce(context);
        assert.deepEqual(context.changed(), []);
      },
    },
    {
      name: 'reset restores the power-on registers',
      run: async () => {
        const { context, model } = fresh();
        const powerOn = snapshot(context, shape);
        subject.startWork(context);
        await scribble(subject, context, 2, 500);
        model.reset();
        assert.deepEqual(
          differing(snapshot(context, shape), powerOn),
          [],
          'byte offsets that differ at once',
        );
        await quiesce(context);
        assert.deepEqual(differing(snapshot(context, shape), powerOn), [], 'byte offsets that differ later');
        assert.equal(context.line, false, 'INTx is released');
      },
    },
    {
      name: 'works again after a reset',
      run: async () => {
        const { context, model } = await atWork();
        model.reset();
        await context.dma.release();
        context.dma.timing = 'now';
        context.messages.length = 0;
        subject.startWork(context);
        await quiesce(context);
        context.clock.advance(1e6);
        assert.ok(context.messages.length > 0 || context.line, 'no interrupt');
      },
    },
    hostile('bears hostile registers with no memory mapped: no throw, no stray rejection', () => undefined),
    hostile('bears hostile registers with memory mapped', (context) => {
      context.dma.map(0n, 1 << 20).fill('\x01\x40\x00\x00');
    }),
    hostile('bears hostile registers in the middle of work', (context) => subject.startWork(context)),
    {
      name: 'bears every DMA operation failing',
      run: () =>
        withoutStrayRejections(async () => {
          for (let surviving = 0; surviving < 16; surviving++) {
            const { context } = await atWork();
            for (let i = 0; i < surviving; i++) await context.dma.release();
            context.dma.unmapAll();
            while (context.dma.waiting > 0) await context.dma.release();
          }
        }),
    },
    ...(['reset', 'destroy'] as const).map((end) => ({
      name: `${end} abandons work in flight: no DMA, no interrupt, no timer afterwards`,
      run: () =>
        withoutStrayRejections(async () => {
          for (let progress = 0; progress < 8; progress++) {
            const { context, model } = await atWork();
            for (let i = 0; i < progress; i++) await context.dma.release();
            model[end]?.();
            const asked = context.dma.operations.length;
            const sent = context.messages.length;
            assert.equal(context.clock.pending, 0, 'timers');
            while (context.dma.waiting > 0) await context.dma.release();
            await quiesce(context);
            assert.equal(context.dma.operations.length, asked, 'DMA asked for afterwards');
            assert.equal(context.messages.length, sent, 'messages sent afterwards');
            assert.equal(context.line, false, 'INTx');
          }
        }),
    })),
    ...migrationConformance(subject),
    {
      name: 'does nothing once destroyed',
      run: async () => {
        const { context, model } = fresh();
        model.destroy?.();
        subject.startWork(context);
        await quiesce(context);
        context.clock.advance(1e6);
        assert.deepEqual(
          [context.dma.operations.length, context.messages.length, context.clock.pending],
          [0, 0, 0],
        );
      },
    },
  ];
}

function checkShape(shape: FunctionShape): void {
  const taken = new Set<number>();
  for (const { index, kind, size } of shape.bars) {
    assert.ok(
      Number.isInteger(Math.log2(size)) && size >= (kind === 'io' ? 4 : 16),
      `BAR ${index}: ${size} bytes`,
    );
    for (const slot of kind === 'memory64' ? [index, index + 1] : [index]) {
      assert.ok(slot >= 0 && slot <= 5 && !taken.has(slot), `BAR ${slot} is taken or does not exist`);
      taken.add(slot);
    }
  }
  assert.ok(shape.classCode >= 0 && shape.classCode <= 0xffffff, 'class code has 24 bits');
  if (!shape.msix) return;
  const { vectors, bar, tableOffset, pbaOffset } = shape.msix;
  const size = shape.bars.find(({ index, kind }) => index === bar && kind !== 'io')?.size ?? 0;
  const [tableEnd, pbaEnd] = [tableOffset + 16 * vectors, pbaOffset + 8 * Math.ceil(vectors / 64)];
  assert.ok(vectors >= 1 && vectors <= 2048, 'MSI-X has 1 to 2048 vectors');
  assert.ok(tableEnd <= size && pbaEnd <= size, 'the MSI-X structures lie in their BAR');
  assert.ok(tableEnd <= pbaOffset || pbaEnd <= tableOffset, 'MSI-X table and PBA are apart');
  assert.equal((tableOffset | pbaOffset) % 8, 0, 'MSI-X structures are 8-byte aligned');
}
