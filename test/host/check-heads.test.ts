/** Function 0 of a device: without it Linux finds none of the others. */
import { describe, expect, it } from 'vitest';
import { checkDescription } from '../../src/host/check.js';
import type { BridgeKind, FunctionDescription, HostDescription } from '../../src/host/description.js';
import { fakeFunction, fakeHost, modelLookup } from '../../src/testkit/fake-host.js';

const port: FunctionDescription = {
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind: 'root-port', secondary: 1 },
};
const endpoint = (bdf: string, more: Partial<FunctionDescription> = {}) =>
  fakeFunction(bdf, { pcie: { type: 'endpoint' }, ...more });
/** A PF, whose port forwards by ARI if it has that. */
const pf = (ari: boolean) =>
  endpoint('0000:01:00.0', { sriov: { totalVfs: 1, offset: 128, vfDevice: 3, ari } });
const problems = (functions: readonly FunctionDescription[], more: Partial<HostDescription> = {}) =>
  checkDescription({ functions, ...more }, modelLookup()).map(
    ({ path, message }) => `${path.join('.')}: ${message}`,
  );
const missing = (bdf: string) =>
  `${bdf}: the slot has no function 0, so Linux would not find it; add ${bdf.slice(0, -1)}0`;

describe('a slot without function 0', () => {
  it('is refused, once, at its first function; function 0 of another slot or domain does not count', () => {
    const rows = ['0000:00:04.0', '0001:00:05.0', '0000:00:05.3', '0000:00:05.1', '0000:00:06.7'];
    const functions = rows.map((bdf) => fakeFunction(bdf));
    expect(problems(functions, { rootBuses: ['0000:00', '0001:00'] })).toEqual([
      `functions.3.bdf: ${missing('0000:00:05.1')}`,
      `functions.4.bdf: ${missing('0000:00:06.7')}`,
    ]);
    expect(
      problems([...functions.slice(0, 4), fakeFunction('0000:00:05.0')], {
        rootBuses: ['0000:00', '0001:00'],
      }),
    ).toEqual([]);
  });

  it('is not helped by the slot of the same number before it, in another domain', () => {
    const functions = ['0000:00:05.0', '0001:00:05.1'].map((bdf) => fakeFunction(bdf));
    const rootBuses = ['0000:00', '0001:00'];
    expect(problems(functions, { rootBuses })).toEqual([`functions.1.bdf: ${missing('0001:00:05.1')}`]);
    const host = fakeHost({ rootBuses, functions: functions.slice(0, 1) });
    expect(() => host.add(functions[1]!)).toThrow(missing('0001:00:05.1'));
  });

  it('may be there below a port that forwards by ARI, where functions are found by a list', () => {
    const beyond = endpoint('0000:01:01.2');
    expect(problems([port, pf(true), beyond])).toEqual([]);
    expect(problems([port, pf(false), endpoint('0000:01:00.2'), endpoint('0000:01:00.3')])).toEqual([]);
  });

  it('may be there on a captured machine, whose hypervisor can have hidden function 0', () => {
    const one = [fakeFunction('0000:00:05.1')];
    expect(problems(one, { firmware: 'captured' })).toEqual([]);
    expect(problems(one, { firmware: 'own' })).toHaveLength(1);
  });
});

describe('behind a PCI Express link', () => {
  const off = (bdf: string, expected: string) =>
    `${bdf}: behind the root-port 0000:00:1c.0 Linux looks for device 0 only; expected ${expected}`;

  it('there is no other device, but by ARI functions with such numbers', () => {
    const beyond = endpoint('0000:01:01.0');
    expect(problems([port, pf(false), beyond])).toEqual([
      `functions.2.bdf: ${off('0000:01:01.0', '0000:01:00.0')}`,
    ]);
    expect(problems([port, pf(true), beyond])).toEqual([]);
    const host = fakeHost({ functions: [port] });
    expect(() => host.add(endpoint('0000:01:1f.0'))).toThrow(off('0000:01:1f.0', '0000:01:00.0'));
  });

  it('there is none in a switch either; conventional buses and those of a switch have many', () => {
    const bridge = (bdf: string, kind: BridgeKind, secondary: number): FunctionDescription => ({
      ...{ bdf, vendor: 0x8086, device: 0xa190 },
      bridge: { kind, secondary },
    });
    const functions = [
      ...[port, bridge('0000:01:00.0', 'upstream-port', 2), bridge('0000:02:04.0', 'downstream-port', 3)],
      ...[bridge('0000:02:05.0', 'downstream-port', 5), bridge('0000:03:00.0', 'pcie-to-pci', 4)],
      ...[fakeFunction('0000:04:07.0'), endpoint('0000:05:01.0')],
    ];
    expect(problems(functions)).toEqual([
      'functions.6.bdf: 0000:05:01.0: behind the downstream-port 0000:02:05.0 Linux looks for device 0 only; expected 0000:05:00.0',
    ]);
  });
});

describe('a function that is plugged in', () => {
  it('needs function 0 in its slot, as a rescan would not find it', () => {
    const host = fakeHost({ functions: [port] });
    const add = (bdf: string) => host.add(endpoint(bdf));
    expect(() => add('0000:01:00.1')).toThrow(`EINVAL: bdf: ${missing('0000:01:00.1')}`);
    add('0000:01:00.0');
    expect(add('0000:01:00.1').bdf).toBe('0000:01:00.1');
  });

  it('is not refused for others whose function 0 was unplugged, but beside them', async () => {
    const host = fakeHost({ functions: [fakeFunction('0000:00:04.0'), fakeFunction('0000:00:04.1')] });
    await host.unplug(host.functions.get('0000:00:04.0' as never)!);
    expect([...host.functions.keys()]).toEqual(['0000:00:04.1']);
    expect(host.add(fakeFunction('0000:00:05.0')).bdf).toBe('0000:00:05.0');
    expect(() => host.add(fakeFunction('0000:00:04.2'))).toThrow(/EINVAL.*add 0000:00:04\.0/);
    expect(host.add(fakeFunction('0000:00:04.0')).bdf).toBe('0000:00:04.0');
  });

  it('has it where function 0 was removed and can be found again', async () => {
    const host = fakeHost({ functions: [fakeFunction('0000:00:04.0')] });
    await host.remove(host.functions.get('0000:00:04.0' as never)!);
    expect(host.add(fakeFunction('0000:00:04.1')).bdf).toBe('0000:00:04.1');
  });

  it('has it by ARI', () => {
    const host = fakeHost({ functions: [port, pf(true)] });
    expect(host.add(endpoint('0000:01:01.2')).bdf).toBe('0000:01:01.2');
  });
});
