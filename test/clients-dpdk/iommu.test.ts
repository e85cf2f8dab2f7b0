/** What only a real client can show of /dev/iommu and type1: descriptors in a struct, memory of a file, many mappings. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { client } from '../cli/needs.js';
import {
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
  startClient,
} from './mounted-machine.js';

let mounted: MountedMachine;

beforeAll(async () => {
  mounted = await mountMachine({
    iommu: { scalableMode: true },
    functions: [{ bdf: '0000:00:04.0', model: 'ioat', driver: 'vfio-pci' }],
  });
});

afterAll(() => mounted.stop());

const run = (path: string, ...args: string[]) =>
  startClient(path, ['--root', mounted.directory, ...args]).ended;

it('fault queues, memfds and dma-bufs; all of it ends with the client', async () => {
  const path = client('iommu');
  const { code, output } = await run(path, 'objects');
  expect(output).not.toMatch(/failed/);
  expect(output).toMatch(/writeable by a descriptor that only reads/);
  expect(output).toMatch(/memory decode off: ENODEV/);
  expect(code).toBe(0);
  const before = await idleCounts(mounted);
  await run(path, 'objects');
  await comesBackTo(mounted, before);
}, 60_000);

it('a thousand mappings, taken and given back', async () => {
  const path = client('iommu');
  const before = await idleCounts(mounted);
  for (const more of [[], ['--shared']]) {
    const { code, output } = await run(path, 'time', '1000', ...more);
    expect(output).toMatch(/ok {2}all unmapped/);
    expect(code).toBe(0);
  }
  await comesBackTo(mounted, before);
}, 60_000);
