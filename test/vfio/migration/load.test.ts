/** What a device takes as its state, and what it refuses: streams that are foreign, cut short, damaged or made to exhaust memory. */
import { describe, expect, test } from 'vitest';
import { MigState } from '../../../src/abi/vfio/index.js';
import { expectRefusal } from '../kit.js';
import { type Device, device, inert, saved } from './kit.js';

const { STOP, RUNNING, RESUMING } = MigState;

const header = (length: bigint, flags: number, tag: number): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(length, 0);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(tag, 12);
  return bytes;
};

/** Bytes of the first record, which says what device it is of. */
const identityLength = (state: Buffer): number => 16 + Number(state.readBigUInt64LE());

/** EINVAL at the end of the transfer; the device waits for a reset, or for a whole state in another session. */
async function refused(one: Device, ...writes: Uint8Array[]): Promise<void> {
  const stream = await one.open(RESUMING);
  for (const bytes of writes) expect(stream.write(bytes)).toBe(bytes.length);
  await expectRefusal('EINVAL', () => one.set(RUNNING));
  expect(one.answer).toEqual({ state: RUNNING, fd: -1 });
  expect(await one.state()).toBe(RESUMING);
  await expectRefusal('EINVAL', () => one.set(STOP));
  await one.reset();
  expect(await one.state()).toBe(RUNNING);
}

describe('EINVAL once the client says that it is all', () => {
  test('nothing, or too little', async () => {
    const one = await device();
    const state = await saved(await device());
    await refused(one);
    for (const length of [1, 15, 16, 17, identityLength(state), state.length - 17, state.length - 1])
      await refused(one, state.subarray(0, length));
  });

  test('too much', async () => {
    const one = await device();
    const state = await saved(await device());
    await refused(one, state, Buffer.alloc(1));
    await refused(one, state, header(0n, 0, 4));
    await refused(one, state, state);
  });

  test('another device', async () => {
    const others = [{ vendor: 0x1235 }, { device: 0x11e9 }, { revision: 9 }, { class: 0x020000 }];
    for (const other of others) {
      const state = await saved(await device({ functions: [inert(other)] }));
      await refused(await device(), state);
    }
    const larger = inert({ bars: [{ index: 0, kind: 'memory64', size: 0x8000 }] });
    await refused(await device(), await saved(await device({ functions: [larger] })));
    const fewer = inert({ msix: { vectors: 3, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 } });
    await refused(await device(), await saved(await device({ functions: [fewer] })));
  });

  test('another version of the stream, and no stream at all', async () => {
    const state = await saved(await device());
    const changed = Buffer.from(state);
    const at = changed.indexOf('migration 1');
    expect(at).toBeGreaterThan(0);
    changed[at + 10] = '2'.charCodeAt(0);
    await refused(await device(), changed);
    await refused(await device(), header(5n, 0, 0), Buffer.from('hello'));
    await refused(await device(), state.subarray(identityLength(state)));
  });

  test('pages that the device does not have', async () => {
    const state = await saved(await device());
    const page = (memory: number, offset: bigint, length: number) => {
      const body = Buffer.alloc(16 + length);
      body.writeUInt32LE(memory, 0);
      body.writeBigUInt64LE(offset, 8);
      return Buffer.concat([header(BigInt(body.length), 0, 1), body]);
    };
    const identity = state.subarray(0, identityLength(state));
    const rest = state.subarray(identity.length);
    const wrong = [
      page(1, 0n, 4096),
      page(0xffff_ffff, 0n, 4096),
      page(0, 0x4000n, 4096),
      page(0, 1n, 4096),
      page(0, 1n << 63n, 4096),
      page(0, 0n, 4095),
      page(0, 0n, 0),
    ];
    for (const one of wrong) await refused(await device(), identity, one, rest);
    const one = await device();
    const stream = await one.open(RESUMING);
    for (const bytes of [identity, page(0, 0x3000n, 4096), rest]) stream.write(bytes);
    await one.set(RUNNING);
  });

  test('a configuration or a state of another size', async () => {
    const state = await saved(await device());
    for (const tag of [2, 3]) {
      const parts: Buffer[] = [];
      for (let at = 0; at < state.length; ) {
        const length = Number(state.readBigUInt64LE(at));
        const own = state.readUInt32LE(at + 12);
        const body = state.subarray(at + 16, at + 16 + length);
        const sent = own === tag ? Buffer.concat([body, Buffer.alloc(1)]) : body;
        parts.push(header(BigInt(sent.length), 0, own), sent);
        at += 16 + length;
      }
      await refused(await device(), Buffer.concat(parts));
    }
  });
});

describe('at once, and the file is dead then', () => {
  async function broken(code: 'ENOMEM' | 'EOPNOTSUPP', ...writes: Buffer[]) {
    const one = await device();
    const stream = await one.open(RESUMING);
    for (const bytes of writes.slice(0, -1)) stream.write(bytes);
    await expectRefusal(code, () => stream.write(writes.at(-1)!));
    await expectRefusal('ENODEV', () => stream.write(Buffer.alloc(1)));
    await expectRefusal('EINVAL', () => one.set(STOP));
    await one.reset();
  }

  test('ENOMEM: a record longer than any can be', async () => {
    for (const tag of [0, 1, 2, 3, 4]) {
      await broken('ENOMEM', header(1n << 40n, 0, tag));
      await broken('ENOMEM', header((1n << 64n) - 1n, 0, tag));
    }
    await broken('ENOMEM', header(1n, 0, 4).subarray(0, 9), header(1n, 0, 4).subarray(9));
  });

  test('EOPNOTSUPP: a record that nobody knows and that must be understood', async () => {
    await broken('EOPNOTSUPP', header(8n, 0, 6));
    await broken('EOPNOTSUPP', header(8n, 2, 0xffff_ffff));
  });
});

test('optional records are skipped, of whatever length', async () => {
  const state = await saved(await device());
  const one = await device();
  const stream = await one.open(RESUMING);
  for (const length of [0, 1, 100_000]) {
    stream.write(header(BigInt(length), 1, 99));
    stream.write(Buffer.alloc(length, 0xee));
  }
  stream.write(state);
  await one.set(RUNNING);
  expect(await one.state()).toBe(RUNNING);
});

test('an endless stream of pages takes no more memory than the device has', async () => {
  const state = await saved(await device());
  const one = await device();
  const stream = await one.open(RESUMING);
  stream.write(state.subarray(0, identityLength(state)));
  const body = Buffer.alloc(16 + 4096, 1);
  body.fill(0, 0, 16);
  const page = Buffer.concat([header(BigInt(body.length), 0, 1), body]);
  const many = Buffer.concat(Array.from({ length: 32 }, () => page));
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 1000; i++) stream.write(many);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 << 20);
});
