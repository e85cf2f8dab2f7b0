/** read and write on device files: regions, splitting, the MSI-X hole, decode. */
import { describe, expect, test } from 'vitest';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { units } from '../../src/vfio/regions/units.js';
import { romImage } from '../host/rom-image.js';
import { BDF, expectRefusal, modelled, region, rig } from './kit.js';

async function opened(options: Parameters<typeof rig>[0] = {}) {
  const one = rig(options);
  const { device } = await one.client.open();
  one.log.events.length = 0;
  return { ...one, device };
}

describe('refusals', () => {
  test.each([
    ['a region index without meaning', region(9)],
    ['far outside', 2n ** 63n - 1n],
    ['a BAR that is not there', region(1)],
    ['the end of a BAR', region(0, 0x4000)],
    ['a ROM that is not there', region(6)],
    ['VGA', region(8, 0xa0000)],
  ])('EINVAL: %s', async (_what, offset) => {
    const { client, device } = await opened();
    await expectRefusal('EINVAL', () => client.pread(device, offset, 4));
    await expectRefusal('EINVAL', () => client.pwrite(device, offset, Buffer.alloc(4)));
  });

  test('a ROM without an image: ENOMEM to read, EINVAL to write and past its end', async () => {
    const { client, device } = await opened({ functions: [modelled({ romSize: 0x1000 })] });
    await expectRefusal('ENOMEM', () => client.pread(device, region(6), 4));
    await expectRefusal('EINVAL', () => client.pread(device, region(6, 0x1000), 4));
    await expectRefusal('EINVAL', () => client.pwrite(device, region(6), Buffer.alloc(4)));
  });

  test('a ROM with an image: all of the BAR, ones behind the image; ENOMEM and EIO without decoding', async () => {
    const rom = romImage({ sectors: 3, last: true });
    const { client, device, fn } = await opened({ functions: [modelled({ romSize: 0x1000, rom })] });
    const all = client.pread(device, region(6), 0x2000);
    expect(all).toEqual(Buffer.concat([rom, Buffer.alloc(0x1000 - rom.length, 0xff)]));
    expect(client.pread(device, region(6, rom.length - 2), 4)).toEqual(Buffer.from([0x10, 0x10, 0xff, 0xff]));
    await expectRefusal('EINVAL', () => client.pread(device, region(6, 0x1000), 4));
    await expectRefusal('EINVAL', () => client.pwrite(device, region(6), Buffer.alloc(4)));
    client.pwrite(device, region(7, 4), Buffer.from([1, 0]));
    await expectRefusal('ENOMEM', () => client.pread(device, region(6), 4));
    client.pwrite(device, region(7, 4), Buffer.from([3, 0]));
    client.pwrite(device, region(7, fn().config.find(1)!.offset + 4), Buffer.from([3, 0]));
    await expectRefusal('ENOMEM', () => client.pread(device, region(6), 4));
  });

  test('nothing is asked of count 0', async () => {
    const { client, device } = await opened();
    expect(client.pread(device, region(9), 0)).toHaveLength(0);
    expect(client.pwrite(device, region(9), Buffer.alloc(0))).toBe(0);
  });

  test('EIO with memory decode off or in D3hot; ports do not mind', async () => {
    const { client, device, fn } = await opened();
    client.pwrite(device, region(7, 4), Buffer.from([1, 0]));
    await expectRefusal('EIO', () => client.pread(device, region(0), 4));
    await expectRefusal('EIO', () => client.pwrite(device, region(0), Buffer.alloc(4)));
    expect(client.pread(device, region(2), 4).readUInt32LE(0)).toBe(0x12345678);
    client.pwrite(device, region(7, 4), Buffer.from([3, 0]));
    expect(client.pread(device, region(0), 4)).toHaveLength(4);
    client.pwrite(device, region(7, fn().config.find(1)!.offset + 4), Buffer.from([3, 0]));
    await expectRefusal('EIO', () => client.pread(device, region(0), 4));
  });
});

describe('memory BARs', () => {
  test('the model is asked and told register by register, naturally aligned', async () => {
    const { client, device, log } = await opened();
    client.pread(device, region(0, 6), 11);
    expect(log.events).toEqual(['read 0 6 2', 'read 0 8 8', 'read 0 16 1']);
    log.events.length = 0;
    client.pwrite(device, region(0, 4), Buffer.alloc(12));
    expect(log.events).toEqual(['write 0 4 4', 'write 0 8 8']);
  });

  test('bytes stand in the shared memory before the model is told, and are read from it', async () => {
    const { client, device, fn, log } = await opened();
    const memory = fn().bars[0]!.memory!;
    let seen = 0;
    log.model!.written = (_bar, offset) => {
      seen = memory.readUInt32LE(offset);
    };
    log.model!.reading = (_bar, offset) => void memory.writeUInt32LE(0xabcd, offset);
    client.pwrite(device, region(0, 8), Buffer.from([1, 2, 3, 4]));
    expect(seen).toBe(0x04030201);
    expect(client.pread(device, region(0, 32), 4).readUInt32LE(0)).toBe(0xabcd);
  });

  test('an access is cut at the end of the BAR', async () => {
    const { client, device } = await opened();
    expect(client.pread(device, region(0, 0x3ffc), 64)).toHaveLength(4);
    expect(client.pwrite(device, region(0, 0x3ffe), Buffer.alloc(64))).toBe(2);
  });

  test('the MSI-X table reads as ones and takes no writes; the PBA is open', async () => {
    const { client, device, fn, log } = await opened();
    const memory = fn().bars[0]!.memory!;
    const bytes = client.pread(device, region(0, 0x1ffe), 0x44);
    expect([...bytes.subarray(0, 2), ...bytes.subarray(66)]).toEqual([0, 0, 0, 0]);
    expect(bytes.subarray(2, 66).every((byte) => byte === 0xff)).toBe(true);
    expect(log.events).toEqual(['read 0 8190 2', 'read 0 8256 2']);
    memory.fill(0);
    client.pwrite(device, region(0, 0x2000), Buffer.alloc(16, 0x11));
    expect(memory.subarray(0x2000, 0x2010).every((byte) => byte === 0)).toBe(true);
    client.pwrite(device, region(0, 0x3000), Buffer.alloc(8, 0x11));
    expect(memory[0x3000]).toBe(0x11);
  });

  test('without decode the hole still answers, its neighbours do not', async () => {
    const { client, device } = await opened();
    client.pwrite(device, region(7, 4), Buffer.from([1, 0]));
    expect(client.pread(device, region(0, 0x2000), 16)).toEqual(Buffer.alloc(16, 0xff));
    await expectRefusal('EIO', () => client.pread(device, region(0, 0x1ffc), 16));
  });
});

describe('I/O BARs', () => {
  test('at most four bytes at once', async () => {
    const { client, device, log } = await opened();
    expect(client.pread(device, region(2, 0), 8).toString('hex')).toBe('7856341278563412');
    client.pwrite(device, region(2, 2), Buffer.from([1, 2, 3]));
    expect(log.events).toEqual(['in 2 0 4', 'in 2 4 4', 'out 2 2 2 513', 'out 2 4 1 3']);
  });

  test('ones without a model', async () => {
    const { client, device } = await opened({ functions: [fakeFunction(BDF)] });
    expect(client.pread(device, region(2), 4)).toEqual(Buffer.alloc(4, 0xff));
    expect(client.pwrite(device, region(2), Buffer.alloc(4))).toBe(4);
  });
});

describe('units', () => {
  const cut = (...args: Parameters<typeof units>) =>
    [...units(...args)].map(({ at, width, excluded }) => (excluded ? `x${at}+${width}` : `${at}+${width}`));

  test('the largest aligned unit each time', () => {
    expect(cut(0, 16, 8)).toEqual(['0+8', '8+8']);
    expect(cut(0, 16, 4)).toEqual(['0+4', '4+4', '8+4', '12+4']);
    expect(cut(3, 10, 8)).toEqual(['3+1', '4+4', '8+4', '12+1']);
  });

  test('stop at the hole, skip it, go on behind it', () => {
    const hole = { start: 6, end: 21 };
    expect(cut(0, 32, 8, hole)).toEqual(['0+4', '4+2', 'x6+15', '21+1', '22+2', '24+8']);
    expect(cut(8, 4, 8, hole)).toEqual(['x8+4']);
    expect(cut(24, 8, 8, hole)).toEqual(['24+8']);
  });
});

test('a BAR resized before it was opened is as large as sysfs says, to accesses and to sizing', async () => {
  const MiB = 2 ** 20;
  const bars = [{ index: 0, kind: 'memory64' as const, size: MiB, sizes: [MiB, 2 * MiB] }];
  const one = rig({ functions: [fakeFunction(BDF, { bars, msix: false })] });
  one.host.resizeBar(one.fn(), 0, 2 * MiB);
  const { device } = await one.client.open();
  expect(one.client.pwrite(device, region(0, 2 * MiB - 4), Buffer.from('last'))).toBe(4);
  expect(one.client.pread(device, region(0, 2 * MiB - 4), 4).toString()).toBe('last');
  await expectRefusal('EINVAL', () => one.client.pread(device, region(0, 2 * MiB), 4));
  one.client.pwrite(device, region(7, 0x10), Buffer.alloc(4, 0xff));
  expect(one.client.pread(device, region(7, 0x10), 4).readUInt32LE(0)).toBe(0xffe0_0004);
});
