/** Machines with a card that can be several devices, and what can be seen of it. */
import type { FunctionDescription, ProfileDescription } from '../../src/host/description.js';
import { createRoot } from '../../src/projections/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { list, read, write } from '../projections/machine.js';
import { type RigOptions, rig } from './kit.js';

export const CARD = '0000:01:00.0';
export const port = (bdf: string, secondary: number): FunctionDescription => ({
  ...{ bdf, vendor: 0x8086, device: 0xa190 },
  bridge: { kind: 'root-port', secondary },
});
export const profiles: readonly ProfileDescription[] = [
  { name: 'whole' },
  {
    ...{ name: 'small', device: 0x11e9, revision: 2, msix: false, msi: { vectors: 1 }, interruptPin: 0 },
    bars: [{ index: 0, kind: 'memory64', size: 0x1000 }],
    capabilities: [{ id: 0x09, bytes: Uint8Array.of(6, 0xaa, 0xbb, 0xcc) }],
  },
  {
    ...{ name: 'large', romSize: 0x1_0000 },
    bars: [
      { index: 0, kind: 'memory64', size: 0x4000 },
      { index: 2, kind: 'io', size: 32 },
      { index: 4, kind: 'memory32', size: 0x80_0000 },
    ],
    extendedCapabilities: [{ id: 0x0b, bytes: Uint8Array.of(1, 0, 0x80, 0, 1, 2, 3, 4) }],
  },
  { name: 'conventional', pcie: false, powerManagement: false, link: { speed: 2.5, width: 1 } },
  {
    name: 'enormous',
    bars: [0, 1, 2, 3, 4].map((index) => ({ index, kind: 'memory32', size: 2 ** 28 }) as const),
    msix: false,
  },
];
export const card = (more: Partial<FunctionDescription> = {}) =>
  fakeFunction(CARD, { pcie: { type: 'endpoint', flr: true }, profiles, ...more });

export function machine(functions: FunctionDescription[], more: RigOptions = {}) {
  const one = rig({ functions, ...more });
  return { one, tree: createRoot({ host: one.host, vfio: one.vfio }) };
}
export type Made = ReturnType<typeof machine>;
export const behindPorts = (more: RigOptions = {}) =>
  machine([port('0000:00:1c.0', 1), port('0000:00:1d.0', 2), card(), fakeFunction('0000:02:00.0')], more);

export const sys = (bdf = CARD) => `/sys/bus/pci/devices/${bdf}`;
export const choose = ({ one, tree }: Made, name: string, bdf = CARD) =>
  write(tree, `${sys(bdf)}/vfio-dev/${one.vfio.deviceOf(one.fn(bdf))!.name}/profiles/current`, name);
export const attribute = ({ tree }: Made, name: string, bdf = CARD) =>
  read(tree, `${sys(bdf)}/${name}`).trim();
/** start, size and flags of the BARs and the ROM. */
export const resources = (made: Made, bdf = CARD) =>
  attribute(made, 'resource', bdf)
    .split('\n')
    .slice(0, 7)
    .map((line) => {
      const [start, end, flags] = line.split(' ').map(BigInt) as [bigint, bigint, bigint];
      return end === 0n
        ? '-'
        : `${start.toString(16)}+${(end - start + 1n).toString(16)} ${flags.toString(16)}`;
    });
export const files = ({ tree }: Made) => list(tree, sys()).filter((name) => /^(resource.+|rom)$/.test(name));
/** Everything that can be seen of the machine, as text. */
export const everything = ({ one, tree }: Made) =>
  [...one.host.functions.values()].map((fn) => [
    ...[fn.bdf, list(tree, sys(fn.bdf)), read(tree, `${sys(fn.bdf)}/resource`)],
    ...[read(tree, `${sys(fn.bdf)}/uevent`), fn.config.bytes.toString('hex')],
  ]);
