/** A device moves between two hosts, each a mount of its own, under a C program with real descriptors. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostDescription } from '../../src/host/description.js';
import { client } from '../cli/needs.js';
import {
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
  startClient,
} from './mounted-machine.js';

const description: HostDescription = {
  functions: [
    {
      bdf: '0000:00:04.0',
      model: 'ioat',
      driver: 'vfio-pci',
      pcie: { type: 'rc-endpoint', flr: true },
      migration: { flags: ['stop-copy', 'p2p', 'pre-copy'] },
      dmaLogging: true,
    },
  ],
};

let here: MountedMachine;
let there: MountedMachine;

beforeAll(async () => {
  here = await mountMachine(description);
  there = await mountMachine(description);
}, 60_000);

afterAll(async () => {
  await here?.stop();
  await there?.stop();
});

describe.each([
  ['groups and a container', []],
  ['cdevs and an iommufd', ['--cdev']],
])('by %s', (_, more) => {
  it('goes on over there, and nothing of it stays', { timeout: 120_000 }, async () => {
    const program = client('migrate');
    const args = ['--from', here.directory, '--to', there.directory, ...more];
    const first = await startClient(program, args).ended;
    expect(first.output).toMatch(/^ok {2}half a state is refused$/m);
    expect(first.code).toBe(0);
    const before = [await idleCounts(here), await idleCounts(there)];
    for (let i = 0; i < 3; i++) {
      const { code, output } = await startClient(program, args).ended;
      expect(code, output).toBe(0);
    }
    for (const [i, machine] of [here, there].entries()) await comesBackTo(machine, before[i]!);
  });
});
