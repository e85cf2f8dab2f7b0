/** What a model that migrates must bear beside everything else (ModelMigration of the contract). */
import assert from 'node:assert/strict';
import { type ModelMigration, StateRefused } from '../devices/contract.js';
import {
  type ConformanceCheck,
  type ConformanceSubject,
  differing,
  randomness,
  scribble,
  snapshot,
  withoutStrayRejections,
} from './conformance-kit.js';
import { FakeDeviceContext, quiesce } from './fake-device-context.js';

/** DMA operations that are let through before the device is paused. */
const PROGRESS = [0, 1, 2, 3, 5, 8];

export function migrationConformance(subject: ConformanceSubject): ConformanceCheck[] {
  const { definition, options = {} } = subject;
  const shape = definition.shape(options);
  const fresh = () => {
    const { context, model } = FakeDeviceContext.create(definition, options);
    return { context, model, migration: model.migration as ModelMigration };
  };
  const agrees: ConformanceCheck = {
    name: 'can migrate exactly when its definition has a stateVersion',
    run: async () =>
      assert.equal(fresh().model.migration !== undefined, definition.stateVersion !== undefined),
  };
  if (definition.stateVersion === undefined) return [agrees];

  /** Paused in the middle of work, everything under way landed. */
  const paused = async (progress: number) => {
    const one = fresh();
    const { context, migration } = one;
    context.dma.timing = 'held';
    subject.startWork(context);
    await quiesce(context);
    for (let i = 0; i < progress; i++) await context.dma.release();
    const pausing = Promise.resolve(migration.pause());
    let settled = false;
    void pausing.then(() => {
      settled = true;
    });
    for (let i = 0; i < 1000 && !settled; i++) await context.dma.release();
    assert.ok(settled, 'pause() settles once the DMA under way has ended');
    assert.equal(context.dma.waiting, 0, 'DMA waits after pause() has settled');
    context.dma.timing = 'now';
    return one;
  };
  const isQuiet = async (context: FakeDeviceContext, body: () => Promise<void> | void) => {
    const before = [context.dma.operations.length, context.messages.length, context.line];
    await body();
    await quiesce(context);
    assert.equal(context.clock.pending, 0, 'timers');
    context.clock.advance(1e6);
    assert.deepEqual([context.dma.operations.length, context.messages.length, context.line], before);
  };
  const finish = async (context: FakeDeviceContext) => {
    await quiesce(context);
    context.clock.advance(1e6);
    await quiesce(context);
  };
  const interrupted = (...contexts: FakeDeviceContext[]) =>
    contexts.some(({ messages, line }) => messages.length > 0 || line);
  /** A host with the same function, to which client memory and BARs have been carried. */
  const moved = (from: FakeDeviceContext, migration: ModelMigration, state: Uint8Array) => {
    const to = fresh();
    to.context.dma.adopt(from.dma);
    for (const { index, kind } of shape.bars)
      if (kind !== 'io') from.memory(index).copy(to.context.memory(index));
    void to.migration.pause();
    (migration.memories ?? []).forEach((memory, i) => void memory.copy(to.migration.memories![i]!));
    for (const register of to.model.watched ?? []) to.context.settled(register);
    to.migration.load(state);
    return to;
  };
  return [
    agrees,
    {
      name: 'paused, it initiates nothing, whatever its registers are asked for',
      run: () =>
        withoutStrayRejections(async () => {
          for (const progress of PROGRESS) {
            const { context } = await paused(progress);
            await isQuiet(context, () => undefined);
            await isQuiet(context, () => subject.startWork(context));
            await isQuiet(context, () => scribble(subject, context, 3, 300));
          }
        }),
    },
    {
      name: 'goes on where it was paused, and comes to the same end',
      run: async () => {
        const undisturbed = fresh();
        subject.startWork(undisturbed.context);
        await finish(undisturbed.context);
        for (const progress of PROGRESS) {
          const { context, migration } = await paused(progress);
          migration.resume();
          await finish(context);
          assert.ok(interrupted(context), 'no interrupt');
          assert.ok(context.dma.contents().equals(undisturbed.context.dma.contents()), 'client memory');
          assert.deepEqual(
            differing(snapshot(context, shape), snapshot(undisturbed.context, shape)),
            [],
            'registers',
          );
        }
      },
    },
    {
      name: 'loaded elsewhere, it goes on there, and comes to the same end',
      run: async () => {
        const undisturbed = fresh();
        subject.startWork(undisturbed.context);
        await finish(undisturbed.context);
        for (const progress of PROGRESS) {
          const from = await paused(progress);
          const to = moved(from.context, from.migration, from.migration.save());
          assert.deepEqual(to.context.changed(), [], 'registers that load() changed and did not settle');
          await isQuiet(to.context, () => undefined);
          to.migration.resume();
          await finish(to.context);
          assert.ok(interrupted(from.context, to.context), 'no interrupt on either host');
          assert.ok(to.context.dma.contents().equals(undisturbed.context.dma.contents()), 'client memory');
          assert.deepEqual(
            differing(snapshot(to.context, shape), snapshot(undisturbed.context, shape)),
            [],
            'registers',
          );
        }
      },
    },
    {
      name: 'saves what it loaded',
      run: async () => {
        for (const progress of PROGRESS) {
          const from = await paused(progress);
          const state = Buffer.from(from.migration.save());
          assert.deepEqual(Buffer.from(from.migration.save()), state, 'save() changed something');
          const to = moved(from.context, from.migration, state);
          assert.deepEqual(Buffer.from(to.migration.save()), state);
        }
      },
    },
    {
      name: 'a reset leaves it paused, with power-on registers, and it works once resumed',
      run: async () => {
        const powerOn = snapshot(fresh().context, shape);
        const { context, model, migration } = await paused(1);
        model.reset();
        assert.deepEqual(differing(snapshot(context, shape), powerOn), []);
        context.messages.length = 0;
        await isQuiet(context, () => subject.startWork(context));
        migration.resume();
        await finish(context);
        assert.ok(interrupted(context), 'no interrupt');
      },
    },
    {
      name: 'refuses a state of another length',
      run: async () => {
        const from = await paused(1);
        const state = Buffer.from(from.migration.save());
        for (const other of [
          state.subarray(0, 0),
          state.subarray(0, -1),
          Buffer.concat([state, Buffer.alloc(1)]),
        ])
          assert.throws(() => moved(from.context, from.migration, other), StateRefused);
      },
    },
    {
      name: 'bears a hostile state: refuses it, or lives with it',
      run: () =>
        withoutStrayRejections(async () => {
          const pick = randomness(5);
          const from = await paused(1);
          for (let i = 0; i < 200; i++) {
            const state = Buffer.from(from.migration.save());
            for (let n = 0; n <= pick(4); n++) if (state.length > 0) state[pick(state.length)] = pick(256);
            const to = attempt(() => moved(from.context, from.migration, state));
            if (!to) continue;
            to.migration.resume();
            subject.startWork(to.context);
            await finish(to.context);
            to.model.destroy?.();
          }
        }),
    },
  ];
}

function attempt<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    assert.ok(error instanceof StateRefused, `load() threw ${String(error)}`);
    return undefined;
  }
}
