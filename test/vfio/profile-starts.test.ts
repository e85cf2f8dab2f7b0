/** Which profile a function has from the start, whose profiles it has, and what of them is refused before there is a machine. */
import { describe, expect, test } from 'vitest';
import { checkDescription } from '../../src/host/check.js';
import type {
  DriverDescription,
  FunctionDescription,
  ProfileDescription,
} from '../../src/host/description.js';
import { plainPages } from '../../src/host/plain-pages.js';
import { formatProblem } from '../../src/host/problem.js';
import { fakeFunction, modelLookup } from '../../src/testkit/fake-host.js';
import { read, write } from '../projections/machine.js';
import { BDF } from './kit.js';
import {
  attribute,
  CARD,
  card,
  choose,
  files,
  machine,
  port,
  profiles,
  resources,
  sys,
} from './profile-kit.js';

describe('from the start', () => {
  test('the first one is what the function is before any driver has it', () => {
    const first = profiles[1]!;
    const made = machine([
      port('0000:00:1c.0', 1),
      card({ profiles: [first, profiles[0]!], driver: 'none' }),
    ]);
    expect([attribute(made, 'device'), files(made)]).toEqual(['0x11e9', ['resource0']]);
  });

  test('or the one that the description names, VFs included, also those that are made later', async () => {
    const sriov = {
      ...{ totalVfs: 2, offset: 1, stride: 1, vfDevice: 7 },
      bars: [{ index: 0, kind: 'memory64', size: 0x4000 } as const],
      profiles: [
        { name: 'all' },
        { name: 'less', bars: [{ index: 0, kind: 'memory64', size: 0x1000 } as const], device: 8 },
      ],
    };
    const chosenProfiles = { [CARD]: 'large', '0000:01:00.2': 'less' };
    const made = machine([port('0000:00:1c.0', 1), card({ profiles: profiles.slice(0, 3), sriov })], {
      chosenProfiles,
      modules: { vfio_pci: { enable_sriov: true } },
    });
    expect(files(made)).toContain('resource4');
    write(made.tree, `${sys()}/sriov_numvfs`, '2');
    expect([1, 2].map((i) => attribute(made, 'device', `0000:01:00.${i}`))).toEqual(['0x0007', '0x0008']);
    const [first, second] = [1, 2].map((i) => made.one.fn(`0000:01:00.${i}`).bars[0]!);
    expect([second!.size, second!.address]).toEqual([0x1000, first!.address + 0x4000n]);
    choose(made, 'less', '0000:01:00.1');
    expect(resources(made, '0000:01:00.1')[0]).toBe(`${first!.address.toString(16)}+1000 140204`);
  });

  test('a driver of the description brings its own, as far as they fit', async () => {
    const vfio: NonNullable<DriverDescription['vfio']> = {
      profiles: [
        { name: 'plain' },
        { name: 'tiny', bars: [], msix: false, device: 9 },
        { name: 'unfit', msix: { vectors: 9, bar: 5, tableOffset: 0, pbaOffset: 0 } },
      ],
    };
    const made = machine([fakeFunction(BDF, { driver: 'my-vfio' }), fakeFunction('0000:00:05.0')], {
      drivers: [{ name: 'my-vfio', ids: [], vfio }],
    });
    const directory = `${sys(BDF)}/vfio-dev/vfio0/profiles`;
    expect(read(made.tree, `${directory}/available`)).toBe('plain\ntiny\n');
    choose(made, 'tiny', BDF);
    expect([attribute(made, 'device', BDF), resources(made, BDF)[0]]).toEqual(['0x0009', '-']);
    const { host } = made.one;
    const driver = host.drivers.get('my-vfio')!;
    await host.drivers.unbind(driver, BDF);
    // Another driver knows nothing of it: the function is as described.
    made.one.bind(BDF);
    expect(attribute(made, 'device', BDF)).toBe('0x11e8');
    await made.one.unbind(BDF);
    made.one.fn(BDF).driverOverride = 'my-vfio';
    host.drivers.bind(driver, BDF);
    expect(attribute(made, 'device', BDF)).toBe('0x0009');
  });
});

describe('descriptions', () => {
  const problems = (row: FunctionDescription) =>
    checkDescription({ functions: [port('0000:00:1c.0', 1), row] }, modelLookup()).map(formatProblem);

  test('each profile is checked as a device of its own, at its place', () => {
    const wrong: ProfileDescription[] = [
      { name: 'a', bars: [] },
      { name: 'b', bars: [{ index: 0, kind: 'memory64', size: 5 }], msix: false },
      { name: 'c', legacyIo: true },
      { name: 'd', migration: { flags: [] } },
      { name: 'a' },
    ];
    expect(problems(card({ profiles: wrong }))).toEqual([
      'functions[1].profiles[4].name: profile "a" is described twice',
      'functions[1].profiles[0]: msix.bar: 0: expected the index of a memory BAR',
      'functions[1].profiles[1].bars[0].size: 5: expected a power of two from 16 to 0x100000000 for memory64',
      'functions[1].profiles[2].legacyIo: true: expected only of VFs whose PF has legacy_io in its sriov',
      'functions[1].profiles[3].migration.flags: stop-copy is missing: nothing migrates without it',
    ]);
  });

  test('a VF has no more memory than its PF has for it; a bridge has none', () => {
    const bars = [{ index: 2, kind: 'memory64', size: 0x4000 } as const];
    const more = (size: number, index = 2) => [{ index, kind: 'memory64', size } as const];
    const sriov = {
      ...{ totalVfs: 1, offset: 1, vfDevice: 7, bars },
      profiles: [
        { name: 'a', bars: more(0x1000) },
        { name: 'b', bars: more(0x8000) },
        { name: 'c', bars: more(0x1000, 0) },
      ],
    };
    expect(problems(card({ profiles: [{ name: 'x' }], sriov }))).toEqual([
      'functions[1].sriov.profiles[1].bars[0]: expected no more than the VFs have: memory64, 16384 bytes',
      'functions[1].sriov.profiles[2].bars[0].index: 0: expected a BAR that the VFs have',
    ]);
    const { profiles: _, ...bridge } = port('0000:00:1d.0', 2);
    expect(problems({ ...bridge, profiles: [{ name: 'x' }] })).toEqual([
      'functions[1].profiles: a bridge has no vfio client',
    ]);
  });
});

test('plain pages that are discarded come back empty', () => {
  const pages = plainPages.create('x');
  pages.map(0, 16).fill(1);
  pages.discard(pages.map(0, 16));
  expect(pages.map(0, 16).every((byte) => byte === 0)).toBe(true);
});
