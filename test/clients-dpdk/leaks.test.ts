/** Many opens and many clients leak no descriptor, mapping or tracee. */
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import { client } from '../cli/needs.js';
import { root } from '../cli/program.js';
import {
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
  startClient,
} from './mounted-machine.js';

let machine: MountedMachine;
afterEach(() => machine.stop());

const settled = (expected: Record<string, number>) => comesBackTo(machine, expected);

test('1,000 cycles of opening, binding, mapping and closing, both ways', { timeout: 120_000 }, async () => {
  machine = await mountMachine();
  const script = join(root, 'test/clients-dpdk/cycle.py');
  const cycle = (count: number) =>
    startClient('python3', [script, machine.directory, '0000:00:04.0', String(count)]);
  const one = cycle(1);
  await one.ready;
  one.process.stdin.end();
  expect(await one.ended).toMatchObject({ code: 0 });
  const idle = await idleCounts(machine);
  const many = cycle(1000);
  await many.ready;
  // It lives, and has closed everything: nothing of it is left but the process itself, its pipes, and its pidfd.
  await vi.waitFor(() => expect(machine.counts().deviceFiles).toBe(0), { timeout: 10_000 });
  expect(machine.counts().descriptors! - idle.descriptors!).toBeLessThan(10);
  many.process.stdin.end();
  expect(await many.ended).toMatchObject({ code: 0 });
  await settled(idle);
});

test('100 clients at once, half of them killed', { timeout: 120_000 }, async () => {
  const hold = client('hold');
  const buses = ['0000:00', '0000:20', '0000:40', '0000:60'];
  const functions = Array.from(
    { length: 100 },
    (_, i): FunctionDescription => ({
      bdf: `${buses[i % 4]}:${(i >> 2).toString(16).padStart(2, '0')}.0`,
      model: 'ioat',
      driver: 'vfio-pci',
    }),
  );
  machine = await mountMachine({ rootBuses: buses, functions });
  async function round(): Promise<void> {
    const clients = functions.map(({ bdf }, i) =>
      startClient(hold, [
        '--root',
        machine.directory,
        '--bdf',
        bdf,
        '--stage',
        'irq',
        ...(i & 1 ? ['--group'] : []),
      ]),
    );
    await Promise.all(clients.map(({ ready }) => ready));
    expect(machine.counts().deviceFiles).toBe(100);
    clients.forEach(({ process }, i) => {
      if (i & 2) process.kill('SIGKILL');
      else process.stdin.end();
    });
    const ends = await Promise.all(clients.map(({ ended }) => ended));
    expect(ends.filter(({ code }) => code === 0)).toHaveLength(50);
    expect(ends.filter(({ signal }) => signal === 'SIGKILL')).toHaveLength(50);
  }
  await round();
  const idle = await idleCounts(machine);
  await round();
  await settled(idle);
});
