/** What is written to a function's `uevent` is told as an event of its own (kobject_synth_uevent()). */
import { expect, it } from 'vitest';
import { createMachine, type Uevent } from '../../src/machine.js';
import { open, root } from './machine.js';

const BDF = '0000:00:04.0';

it('with the action, the id and the variables of who wrote it; what is refused makes none', () => {
  const machine = createMachine({
    functions: [{ bdf: BDF, vendor: 0x8086, device: 0x10d3, driver: 'none' }],
  });
  const told: Uevent[] = [];
  machine.uevents.subscribe((event) => void told.push(event));
  const file = open(machine.root, `/sys/bus/pci/devices/${BDF}/uevent`, 'w');
  const put = (text: string) => file.write!(0n, Buffer.from(text), root);
  put('change\n');
  put('online fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A=1 B=x');
  expect(() => put('changed')).toThrow();
  const devpath = `/devices/pci0000:00/${BDF}`;
  expect(told).toMatchObject([
    { action: 'change', devpath, subsystem: 'pci', properties: { SYNTH_UUID: '0', PCI_ID: '8086:10D3' } },
    {
      action: 'online',
      properties: {
        ACTION: 'online',
        SYNTH_UUID: 'fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed',
        SYNTH_ARG_A: '1',
        SYNTH_ARG_B: 'x',
      },
    },
  ]);
  expect(Object.keys(told[0]!.properties).indexOf('SYNTH_UUID')).toBe(3);
  machine.destroy();
});
