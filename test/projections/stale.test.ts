import { expect, it } from 'vitest';
import type { HostChange } from '../../src/host/events.js';
import { createMachine } from '../../src/machine.js';
import { staleBy } from '../../src/projections/index.js';

const BDF = '0000:00:1c.0';
const port = `sys/devices/pci0000:00/${BDF}`;

it('services and the slot of a port go with its driver, and the count of its directories changes both ways', async () => {
  const bridge = { kind: 'root-port', secondary: 1, hotplug: true } as const;
  const machine = createMachine({ functions: [{ bdf: BDF, vendor: 0x8086, device: 0xa190, bridge }] });
  const changes: HostChange[] = [];
  machine.host.changes.subscribe((change) => changes.push(change));
  const { drivers } = machine.host;
  const stale = () => changes.splice(0).flatMap(staleBy);
  const { services } = machine.host;
  const pme = services
    .of(machine.host.functions.get(BDF as never)!)
    .find(({ driver }) => driver === 'pcie_pme')!;
  services.unbind('pcie_pme', pme);
  expect(stale()).toEqual([{ what: 'entry', path: `/${port}/${BDF}:pcie001`, name: 'driver' }]);
  await drivers.unbind(drivers.get('pcieport')!, BDF as never);
  const gone = stale();
  for (const service of ['001', '004'])
    expect(gone).toContainEqual({ what: 'entry', path: `/${port}`, name: `${BDF}:pcie${service}` });
  expect(gone).toContainEqual({ what: 'entry', path: '/sys/bus/pci/slots', name: expect.any(String) });
  expect(gone).toContainEqual({ what: 'attributes', path: `/${port}` });
  drivers.bind(drivers.get('pcieport')!, BDF as never);
  expect(stale()).toContainEqual({ what: 'attributes', path: `/${port}` });
  machine.destroy();
});
