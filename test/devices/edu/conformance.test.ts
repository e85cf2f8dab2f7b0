import { describe, it } from 'vitest';
import { edu } from '../../../src/devices/edu/index.js';
import type { FakeDeviceContext } from '../../../src/testkit/fake-device-context.js';
import { modelConformance } from '../../../src/testkit/model-conformance.js';

/** Two pages of memory into the buffer, with an interrupt. */
function startWork(context: FakeDeviceContext): void {
  context.dma.map(0x10000n, 8192).fill(0x5a);
  context.store(0, 0x80, 8, 0x10800n);
  context.store(0, 0x88, 8, 0x40000n);
  context.store(0, 0x90, 8, 4096);
  context.store(0, 0x98, 8, 5);
  context.look();
  context.clock.advance(100);
}

describe('edu as a device model', () => {
  for (const { name, run } of modelConformance({ definition: edu, startWork })) it(name, run);
});
