/** Two functions below one root port: what a hot reset of one does to the other. */
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { modelled, rig } from './kit.js';

export const A = '0000:01:00.0';

export const B = '0000:01:00.1';

export const port: FunctionDescription = {
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0x9d10,
  class: 0x060400,
  bridge: { kind: 'root-port', secondary: 1 },
};

export const below = (groups: readonly [number, number] = [1, 2]) => {
  const pcie = { type: 'endpoint', flr: true } as const;
  const acs = groups[0] !== groups[1];
  return [
    { ...port, iommuGroup: 9 },
    modelled({ pcie, acs, iommuGroup: groups[0] }, A),
    fakeFunction(B, { pcie, acs, iommuGroup: groups[1] }),
  ];
};

export const rigBelow = (groups?: readonly [number, number]) => rig({ functions: below(groups) });
