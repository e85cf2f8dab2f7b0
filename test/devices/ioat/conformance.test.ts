import { describe, it } from 'vitest';
import { ioat } from '../../../src/devices/ioat/index.js';
import type { FakeDeviceContext } from '../../../src/testkit/fake-device-context.js';
import { modelConformance } from '../../../src/testkit/model-conformance.js';

/** Two copies that can't be joined and a fill, on the last channel, with completion and interrupt. */
function startWork(context: FakeDeviceContext, channel: number): void {
  const ring = context.dma.map(0x10000n, 4096);
  context.dma.map(0x20000n, 0x40000).fill(0x5a, 0, 0x1000);
  for (const [i, control] of [0x08, 0x01000008, 0x09].entries()) {
    ring.writeUInt32LE(0x1000, i * 64);
    ring.writeUInt32LE(control, i * 64 + 4);
    ring.writeBigUInt64LE(0x20000n, i * 64 + 8);
    ring.writeBigUInt64LE(0x30000n + BigInt(i * 0x2000), i * 64 + 16);
    ring.writeBigUInt64LE(0x10000n + BigInt(i + 1) * 64n, i * 64 + 24);
  }
  const base = 0x80 * (channel + 1);
  context.store(0, 0x03, 1, 0x09);
  context.store(0, base, 2, 0x1d);
  context.store(0, base + 0x18, 8, 0x10800n);
  context.store(0, base + 0x10, 8, 0x10000n);
  context.store(0, base + 0x06, 2, 3);
  context.look();
}

describe.each([{}, { channels: 8, xfercap: 12 }])('ioat %j as a device model', (options) => {
  const channel = (options.channels ?? 1) - 1;
  const subject = {
    definition: ioat,
    options,
    startWork: (context: FakeDeviceContext) => startWork(context, channel),
  };
  for (const { name, run } of modelConformance(subject)) it(name, run);
});
