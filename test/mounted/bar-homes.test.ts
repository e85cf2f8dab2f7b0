/** The two views of a BAR, `resourceN` and the VFIO device, as C programs map them through the mount. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { KernelError } from '../../src/abi/errno.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { native } from '../../src/native/index.js';
import {
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
} from '../clients-dpdk/mounted-machine.js';
import { Client, compile } from '../native/client.js';

const ONES = 0xffff_ffff;
const endpoint: FunctionDescription = {
  bdf: '0000:00:05.0',
  vendor: 0x1234,
  device: 0x11e8,
  bars: [
    { index: 0, kind: 'memory32', size: 0x4000 },
    { index: 1, kind: 'memory32', size: 0x400 },
    { index: 2, kind: 'memory64', size: 0x10_0000, prefetchable: true },
  ],
  pcie: { type: 'rc-endpoint', flr: true },
  iommuGroup: 7,
  driver: 'vfio-pci',
  profiles: [{ name: 'whole' }, { name: 'small', bars: [{ index: 0, kind: 'memory64', size: 0x1000 }] }],
};
const functions: FunctionDescription[] = [
  { bdf: '0000:00:04.0', model: 'ioat', options: { channels: 1 }, driver: 'vfio-pci' },
  endpoint,
  { ...endpoint, bdf: '0000:00:06.0' },
];

let machine: MountedMachine;
let clients: BarClient[];

class BarClient extends Client {
  constructor() {
    super(compile('bars', []));
    clients.push(this);
  }
  resource(letter: string, file: string, bdf = '0000:00:05.0', how = 'rw'): Promise<string> {
    return this.ask(`open ${letter} ${machine.directory}/sys/bus/pci/devices/${bdf}/${file} ${how}`);
  }
  async map(letter: string, file: string, length = 4096, how = 'rw', offset = 0): Promise<string> {
    return this.ask(`map ${letter} ${file} ${offset} ${length} ${how}`);
  }
  /** Opens the VFIO device; vfio<N> are numbered in the order of the topology. */
  vfio(letter: string, index: number): Promise<string> {
    const dev = join(machine.directory, 'dev');
    return this.ask(`bind ${letter} ${dev}/vfio/devices/vfio${index} ${dev}/iommu`);
  }
  async end(): Promise<void> {
    this.child.stdin!.end();
    await this.exited;
  }
}

const fn = (bdf = '0000:00:05.0') => machine.machine.host.functions.get(bdf as never)!;
const descriptor = expect.stringMatching(/^[0-9]+$/);

beforeEach(async () => {
  clients = [];
  machine = await mountMachine({ functions });
});

afterEach(async () => {
  for (const client of clients) await client.kill();
  await machine.stop();
});

describe('a profile', () => {
  const choose = (name: string) => {
    try {
      machine.machine.vfio.deviceOf(fn())!.selectProfile(name);
      return 'chosen';
    } catch (error) {
      return (error as KernelError).code;
    }
  };

  it('is not chosen while somebody maps a BAR, by either view, and comes with empty memory', async () => {
    for (const file of ['resource0', 'resource2']) {
      const one = new BarClient();
      expect(await one.resource('a', file)).toEqual(descriptor);
      expect(await one.map('A', 'a')).toBe('0');
      await one.ask('store A 8 7');
      expect(choose('small')).toBe('EBUSY');
      await one.ask('close a');
      expect(choose('small')).toBe('EBUSY');
      await one.ask('unmap A');
      await vi.waitFor(() => expect(choose('small')).toBe('chosen'));
      expect(fn().bars.map((bar) => bar?.size)).toEqual([0x1000, ...Array(5).fill(undefined)]);
      expect(choose('whole')).toBe('chosen');
      expect(fn().bars[Number(file.at(-1))]!.memory!.readUInt32LE(8)).toBe(0);
      await one.end();
    }
  });

  it('nor while a mapping of the VFIO device is left, and the next user maps the new BAR', async () => {
    const one = new BarClient();
    expect(await one.vfio('v', 1)).toEqual(descriptor);
    const { pagesBase } = fn();
    expect(await one.map('V', 'v', 4096, 'rw', pagesBase)).toBe('0');
    expect(choose('small')).toBe('EBUSY');
    await one.ask('close v');
    expect(choose('small')).toBe('EBUSY');
    await one.ask('unmap V');
    await vi.waitFor(() => expect(choose('small')).toBe('chosen'));
    expect(await one.vfio('v', 1)).toEqual(descriptor);
    expect(await one.map('V', 'v', 4096, 'rw', pagesBase)).toBe('0');
    await one.ask('store V 16 5');
    expect(fn().bars[0]!.memory!.readUInt32LE(16)).toBe(5);
  });
});

describe('one after the other', () => {
  it('what was stored through resource2 is there through VFIO, and the other way', async () => {
    const one = new BarClient();
    expect(await one.resource('a', 'resource2')).toEqual(descriptor);
    expect(await one.map('A', 'a', 0x10_0000)).toBe('0');
    await one.ask('store A 4096 305419896');
    await one.ask('store A 1048572 7');
    expect(fn().bars[2]!.memory!.readUInt32LE(4096)).toBe(0x12345678);
    fn().bars[2]!.memory!.writeUInt32LE(99, 8);
    expect(await one.ask('load A 8')).toBe('99');
    await one.ask('unmap A');
    await one.ask('close a');

    expect(await one.vfio('v', 1)).toEqual(descriptor);
    expect(await one.ask('flags v 2')).toBe('7');
    expect(await one.ask('region B v 2')).toBe('0');
    expect(await one.ask('load B 4096')).toBe('305419896');
    expect(await one.ask('load B 1048572')).toBe('7');
    await one.ask('store B 4096 1');
    await one.ask('store B 12 2');
    expect(fn().bars[2]!.memory!.readUInt32LE(12)).toBe(2);
    await one.ask('unmap B');
    await one.ask('close v');

    await one.resource('a', 'resource2_wc');
    await one.map('A', 'a');
    expect(await one.ask('load A 12')).toBe('2');
    await one.resource('b', 'resource2', undefined, 'r');
    expect(await one.map('B', 'b', 8192, 'r')).toBe('0');
    expect(await one.ask('load B 4096')).toBe('1');
    await one.ask('store A 16 5');
    expect(await one.ask('load B 16')).toBe('5');
  });

  it('a second function of the group has its own pages', async () => {
    const one = new BarClient();
    for (const [letter, bdf, value] of [
      ['a', '0000:00:05.0', 1],
      ['b', '0000:00:06.0', 2],
    ]) {
      await one.resource(`${letter}`, 'resource0', `${bdf}`);
      expect(await one.map(`${letter}`, `${letter}`)).toBe('0');
      await one.ask(`store ${letter} 0 ${value}`);
    }
    expect(['0000:00:05.0', '0000:00:06.0'].map((bdf) => fn(bdf).bars[0]!.memory!.readUInt32LE(0))).toEqual([
      1, 2,
    ]);
    await one.ask('unmap b');
    await one.ask('close b');
    await one.vfio('v', 2);
    expect(await one.ask('region C v 0')).toBe('0');
    expect(await one.ask('load C 0')).toBe('2');
  });
});

describe('both at once', () => {
  it('BAR 0 of the first function of a group is shared', async () => {
    const [one, other] = [new BarClient(), new BarClient()];
    await one.resource('a', 'resource0');
    await one.map('A', 'a');
    await other.vfio('v', 1);
    expect(await other.ask('flags v 0')).toBe('7');
    await other.ask('region B v 0');
    await one.ask('store A 0 77');
    expect(await other.ask('load B 0')).toBe('77');
  });

  it('with the VFIO device open, resource2 opens and can not be mapped', async () => {
    const [one, other] = [new BarClient(), new BarClient()];
    await other.vfio('v', 1);
    expect(await one.resource('a', 'resource2')).toEqual(descriptor);
    expect(await one.map('A', 'a')).toBe('ENODEV');
    await other.end();
    // Decided at open.
    expect(await one.map('A', 'a')).toBe('ENODEV');
    await one.resource('b', 'resource2');
    expect(await one.map('B', 'b')).toBe('0');
    // With the first still open, the pages come and go all the same.
    await one.ask('unmap B');
    await one.ask('close b');
    await one.vfio('v', 1);
    expect(await one.ask('flags v 2')).toBe('7');
    await one.ask('close v');
    await one.resource('b', 'resource2');
    await one.map('B', 'b');
    await one.ask('store B 0 3');
    expect(fn().bars[2]!.memory!.readUInt32LE(0)).toBe(3);
  });

  it.each(['rw', 'r'])(
    'a mapping of resource2 (%s) that outlives its descriptor keeps the pages',
    async (how) => {
      const [one, other] = [new BarClient(), new BarClient()];
      await one.resource('a', 'resource2', undefined, how);
      await one.map('A', 'a', 4096, how);
      await one.ask('close a');
      await other.vfio('v', 1);
      expect(await other.ask('flags v 2')).toBe('3');
      expect(await other.ask('flags v 1')).toBe('7');
      fn().bars[2]!.memory!.writeUInt32LE(4321, 0);
      expect(await one.ask('load A 0')).toBe('4321');
      expect(await other.ask('pread v 2 0')).toBe('4321');
      // resource2 may still be opened by more: VFIO does not map it.
      await other.resource('b', 'resource2');
      expect(await other.map('B', 'b')).toBe('0');
      await other.ask('unmap B');
      await other.ask('close b');
      await other.ask('close v');
      await one.ask('unmap A');
      await other.vfio('v', 1);
      expect(await other.ask('flags v 2')).toBe('7');
      await other.ask('region B v 2');
      expect(await other.ask('load B 0')).toBe('4321');
    },
  );

  it('a mapping of the VFIO device that outlives its descriptor keeps what it saw, and hurts nobody', async () => {
    const [one, other] = [new BarClient(), new BarClient()];
    await one.vfio('v', 1);
    await one.ask('region A v 2');
    await one.ask('store A 0 1');
    await one.ask('close v');
    await other.resource('b', 'resource2');
    await other.map('B', 'b');
    await other.ask('store B 0 2');
    await one.ask('store A 0 3');
    await one.ask('store A 4096 3');
    expect(await other.ask('load B 0')).toBe('2');
    await other.end();
    await one.vfio('v', 1);
    expect(await one.ask('load A 0')).toBe('2');
    expect(await one.ask('load A 4096')).toBe('0');
  });
});

describe('limits of a mapping', () => {
  it('pages are whole ones, read-only descriptors map read-only, private ones copy', async () => {
    const one = new BarClient();
    await one.resource('a', 'resource1');
    expect(await one.map('A', 'a')).toBe('0');
    await one.ask('store A 4092 8');
    expect(await one.ask('load A 4092')).toBe('8');
    await one.resource('b', 'resource2', undefined, 'r');
    expect(await one.map('B', 'b')).toBe('EACCES');
    expect(await one.map('B', 'b', 4096, 'rp')).toBe('0');
    expect(await one.map('C', 'b', 4096, 'wp')).toBe('0');
    await one.ask('store C 0 8');
    expect(fn().bars[2]!.memory!.readUInt32LE(0)).toBe(0);
    expect(await one.ask('reach b')).toBe('EIO');
    // Past the end: the kernel would refuse to map it, here it maps and can't be touched.
    expect(await one.map('D', 'b', 8192, 'r', 0x10_0000 - 4096)).toBe('0');
    expect(await one.ask('load D 0')).toBe('0');
    expect(await one.ask('load D 4096')).toBe('SIGBUS');
  });

  it('only root may open it', async () => {
    const refused = new Client('setpriv', ['--reuid', '65534', '--clear-groups', compile('bars', [])]);
    const path = `${machine.directory}/sys/bus/pci/devices/0000:00:05.0`;
    expect(await refused.ask(`open a ${path}/vendor r`)).toEqual(descriptor);
    expect(await refused.ask(`open a ${path}/resource2 r`)).toBe('EACCES');
    await refused.kill();
  });
});

describe('the function behind', () => {
  it('a model sees stores through resource0, also when only the mapping is left', async () => {
    const one = new BarClient();
    await one.resource('a', 'resource0', '0000:00:04.0');
    await one.map('A', 'a', 0x4000);
    await one.ask('close a');
    await sleep(1200); // longer than the daemon waits before it looks who is there
    const [chainaddr, command, chanerr] = [0x90, 0x84, 0xa8];
    await one.ask(`store A ${chainaddr} 64`);
    await one.ask(`store A ${command} ${1 << 16}`); // DMACOUNT is the upper half of this word
    // The descriptor at IOVA 0x40 can't be fetched: nobody has given the engine an address space.
    await vi.waitFor(async () => expect(Number(await one.ask(`load A ${chanerr}`))).not.toBe(0));
    await one.end();
    await vi.waitFor(() => expect(native().isUnshared(fn('0000:00:04.0').pages!.fd!)).toBe(true), {
      timeout: 3000,
    });
  });

  it('a kernel driver does not mind', async () => {
    await machine.machine.host.drivers.unbind(fn().driver!, '0000:00:05.0');
    fn().driverOverride = 'pci-stub';
    machine.machine.host.drivers.probe('0000:00:05.0');
    expect(fn().driver!.name).toBe('pci-stub');
    const one = new BarClient();
    await one.resource('a', 'resource2');
    expect(await one.map('A', 'a')).toBe('0');
  });

  it('is pulled out: the mapping reads ones, and the pages go with it', async () => {
    const one = new BarClient();
    await one.resource('a', 'resource2');
    await one.map('A', 'a', 0x10_0000);
    await machine.machine.host.unplug(fn(), { surprise: true });
    expect(await one.ask('load A 4096')).toBe(String(ONES));
    expect(await one.ask('reach a')).toBe('ENODEV');
    // The kernel is told by a thread, and nobody waited for it here.
    await expect.poll(() => one.resource('b', 'resource2'), { timeout: 10_000 }).toBe('ENOENT');
  });

  it('is removed and found again: a mapping of the old one is nobody’s', async () => {
    const one = new BarClient();
    await one.resource('a', 'resource2');
    await one.map('A', 'a');
    await one.ask('store A 0 5');
    await machine.machine.host.remove(fn());
    machine.machine.host.rescan();
    // The kernel is told by a thread that the old directory is gone, and nobody waited for it here.
    await expect.poll(() => one.resource('b', 'resource2'), { timeout: 10_000 }).toEqual(descriptor);
    await one.map('B', 'b');
    expect(await one.ask('load B 0')).toBe('0');
    await one.ask('store A 0 6');
    expect(await one.ask('load B 0')).toBe('0');
    expect(await one.ask('load A 0')).toBe('6');
  });
});

it('nothing is left of a hundred rounds', { timeout: 60_000 }, async () => {
  const round = async (client: BarClient) => {
    for (const resource of ['resource0', 'resource1', 'resource2', 'resource2_wc']) {
      expect(await client.resource('a', resource)).toEqual(descriptor);
      await client.map('A', 'a');
      await client.ask('store A 0 1');
      await client.ask('close a');
      await client.ask('unmap A');
    }
    await client.vfio('v', 1);
    expect(await client.ask('flags v 2')).toBe('7');
    await client.ask('region B v 2');
    expect(await client.ask('load B 0')).toBe('1');
    await client.ask('unmap B');
    await client.ask('close v');
  };
  const first = new BarClient();
  await round(first);
  await first.end();
  const idle = await idleCounts(machine);
  const client = new BarClient();
  for (let i = 0; i < 100; i++) await round(client);
  await client.end();
  await comesBackTo(machine, idle);
});
