/** How much of a ROM BAR is an image (drivers/pci/rom.c). */
import { expect, test } from 'vitest';
import type { PciFunction } from '../../src/host/pci-function.js';
import { mapRom, romBar } from '../../src/host/rom.js';
import { romImage } from './rom-image.js';

function lengthOf(rom: Uint8Array | undefined, romSize = 8192, decoded = true): number | undefined {
  const config = { write: () => undefined };
  return mapRom({ rom, romSize, romAddress: 0n, config } as unknown as PciFunction, decoded)?.length;
}

function changed(rom: Buffer, at: number, ...values: number[]): Buffer {
  rom.set(values, at);
  return rom;
}
const one = () => romImage({ sectors: 3, last: true });
const two = () => romImage({ sectors: 3 }, { sectors: 5, last: true });

test.each([
  ['one image', one(), 1536],
  ['two', two(), 4096],
  ['what follows the last is no part of it', Buffer.concat([one(), one()]), 1536],
  ['an image that should be followed by one and is not', romImage({ sectors: 3 }), 1536],
  ['two, the second without its data', changed(two(), 1536 + 0x1c, 0), 1536],
  ['two, the second out of place', changed(two(), 0x1c + 0x10, 2), 1024],
  ['an image of length 0', changed(one(), 0x1c + 0x10, 0, 0), undefined],
  ['no signature', changed(one(), 0, 0), undefined],
  ['no data signature', changed(one(), 0x1c, 0), undefined],
  ['data that is not aligned', romImage({ sectors: 3, last: true, data: 0x1e }), undefined],
  ['data that is too short', changed(one(), 0x1c + 0x0a, 0x17), undefined],
  ['data of 65535 bytes', changed(one(), 0x1c + 0x0a, 0xff, 0xff), undefined],
  ['data beyond the BAR', romImage({ sectors: 1, last: true, data: 0x1ff4 }), undefined],
  ['an image that says more than the BAR has', changed(one(), 0x1c + 0x10, 17), 8192],
  ['nothing', undefined, undefined],
])('%s', (_what, rom, length) => expect(lengthOf(rom)).toBe(length));

test('without decoding, and without a BAR, there is none', () => {
  expect(lengthOf(one(), 8192, false)).toBeUndefined();
  expect(lengthOf(one(), 0)).toBeUndefined();
});

test('the BAR that a ROM fits in', () => {
  expect([1, 2048, 2049, 65536, 65537].map(romBar)).toEqual([2048, 2048, 4096, 65536, 131072]);
});
