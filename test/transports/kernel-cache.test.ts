/**
 * What the kernel caches of a mounted machine is true after every change, at once: the tree as a client's kernel shows it is compared with
 * the tree itself, after walks that leave as much of it in the kernel's caches as there can be. Needs root and /dev/fuse.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Bdf } from '../../src/host/bdf.js';
import type { ProfileDescription } from '../../src/host/description.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import type { Machine } from '../../src/machine.js';
import type { Operation } from '../../src/vfs/dispatch.js';
import type { DirectoryNode } from '../../src/vfs/node.js';
import { noting, serveMachine } from './served-machine.js';

let machine: Machine;
let directory: string;
let stop: () => Promise<void>;
let operations: Operation[];

beforeEach(async () => {
  operations = [];
  ({ machine, directory, stop } = await serveMachine([noting(operations)]));
});
afterEach(() => stop());

const places = [
  '/sys/bus/pci',
  '/sys/class',
  '/sys/dev',
  '/sys/devices',
  '/sys/kernel',
  '/dev',
  '/proc/bus/pci',
];

/** What a path is, in a word: its kind, and its link count or text. */
async function seen(path: string): Promise<string | undefined> {
  try {
    const attributes = await lstat(join(directory, path));
    if (attributes.isSymbolicLink()) return `-> ${await readlink(join(directory, path))}`;
    return attributes.isFile() ? 'file' : `${attributes.nlink} links`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function* meant(path: string, node: DirectoryNode): Iterable<[path: string, word: string]> {
  for (const name of node.names()) {
    const child = node.lookup(name)!;
    const at = `${path}/${name}`;
    if (child.kind === 'symlink') yield [at, `-> ${child.target()}`];
    else if (child.kind === 'file') yield [at, 'file'];
    else {
      yield [at, `${child.attributes().nlink} links`];
      yield* meant(at, child);
    }
  }
}

/** Every path there ever was. */
const known = new Set<string>();

async function expectPaths(now: ReadonlyMap<string, string>, after: string): Promise<void> {
  const wrong: string[] = [];
  for (const path of known) {
    const word = await seen(path);
    if (word !== now.get(path)) wrong.push(`${path}: ${word}, not ${now.get(path)}`);
  }
  expect(wrong, `after ${after}`).toEqual([]);
}

/** By path first, from what the kernel remembers: listing a directory would tell it all about what is there. */
async function expectTrue(after: string): Promise<void> {
  const now = new Map(places.flatMap((place) => [...meant(place, at(place))]));
  for (const path of now.keys()) known.add(path);
  await expectPaths(now, after);
  const directories = [
    ...places,
    ...[...now].flatMap(([path, word]) => (/ links$/.test(word) ? [path] : [])),
  ];
  for (const path of directories)
    expect((await readdir(join(directory, path))).sort(), path).toEqual([...at(path).names()].sort());
  // Listing made the kernel doubt the attributes of the directory (fuse_invalidate_atime()): now it has them again.
  await expectPaths(now, `${after}, again`);
}

function at(path: string): DirectoryNode {
  let node: DirectoryNode = machine.root;
  for (const name of path.split('/').filter(Boolean)) node = node.lookup(name) as DirectoryNode;
  return node;
}

/** Another device in every file that can come and go. */
const express: ProfileDescription = {
  ...{
    name: 'express',
    class: 0x030000,
    romSize: 4096,
    vpd: { name: 'x' },
    serialNumber: '01-02-03-04-05-06-07-08',
  },
  pcie: { type: 'rc-endpoint', flr: true },
  bars: [
    { index: 1, kind: 'io', size: 16 },
    { index: 2, kind: 'memory64', size: 2 ** 20, sizes: [2 ** 20], prefetchable: true },
  ],
};
const profile = (name: string) => {
  const device = found('0000:00:09.0');
  const vfio = machine.vfio.deviceOf(device)!.name;
  return write(`bus/pci/devices/${device.bdf}/vfio-dev/${vfio}/profiles/current`, name);
};

const write = (path: string, text: string) => writeFile(join(directory, 'sys', path), text);
const found = (bdf: string): PciFunction => machine.host.functions.get(bdf as Bdf)!;

test('every change of the machine is seen at once, however much was cached', {
  timeout: 120_000,
}, async () => {
  const devices = 'bus/pci/devices';
  const steps: Record<string, () => unknown> = {
    nothing: () => undefined,
    'VFs made': () => write(`${devices}/0000:01:00.0/sriov_numvfs`, '3'),
    unbinding: () => write('bus/pci/drivers/igbvf/unbind', '0000:01:10.2'),
    override: () => write(`${devices}/0000:01:10.2/driver_override`, 'vfio-pci'),
    'binding to vfio-pci': () => write('bus/pci/drivers/vfio-pci/bind', '0000:01:10.2'),
    'message vectors': async () => {
      found('0000:01:10.2').messages.enable('msix', 1);
      await machine.settled();
    },
    'no message vectors': async () => {
      found('0000:01:10.2').messages.disable();
      await machine.settled();
    },
    'unbinding from vfio-pci': () => write('bus/pci/drivers/vfio-pci/unbind', '0000:01:10.2'),
    'VFs removed': () => write(`${devices}/0000:01:00.0/sriov_numvfs`, '0'),
    'VFs made again': () => write(`${devices}/0000:01:00.0/sriov_numvfs`, '2'),
    removal: () => write(`${devices}/0000:00:1c.0/remove`, '1'),
    rescan: () => write('bus/pci/rescan', '1'),
    addition: async () => {
      machine.host.add({
        ...{ bdf: '0000:00:09.0', vendor: 0x8086, device: 0x10d3, driver: 'vfio-pci' },
        bars: [{ index: 0, kind: 'memory32', size: 4096 }],
        profiles: [{ name: 'plain' }, express],
      });
      await machine.settled();
    },
    'another profile': () => profile('express'),
    'the profile of before': () => profile('plain'),
    'surprise removal': async () => {
      await machine.host.unplug(found('0000:00:09.0'), { surprise: true });
      await machine.settled();
    },
  };
  await expectTrue('the start');
  for (const [name, step] of Object.entries(steps)) {
    await step();
    await expectTrue(name);
  }
});

test('who stands in a directory that goes finds nothing there, by no name it knew', async () => {
  const device = join(directory, 'sys/bus/pci/devices/0000:01:00.1');
  await readdir(join(device, 'power'));
  await readdir(join(device, 'power'));
  await readFile(join(device, 'vendor'));
  await write('bus/pci/devices/0000:01:00.1/remove', '1');
  for (const name of ['', 'vendor', 'power', 'power/control'])
    await expect(stat(join(device, name)), name).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a path that was walked once is not asked for again', async () => {
  const vendor = join(directory, 'sys/bus/pci/devices/0000:01:00.0/vendor');
  await readFile(vendor);
  operations.splice(0);
  await readFile(vendor);
  // A directory's attributes are no operation of the dispatcher's: that they are not asked for either shows in npm run bench.
  expect(operations.map(({ op }) => op).filter((op) => op !== 'read')).toEqual(['open']);
});

test('a listing is kept while it is what it was; who holds a directory open and reads it again sees what is new', async () => {
  const path = 'sys/bus/pci/drivers/vfio-pci';
  const listings = () =>
    operations.filter(({ op, path: at }) => op === 'readdir' && at === `/${path}`).length;
  const list = async () => (await readdir(join(directory, path))).filter((name) => name.includes(':'));
  const before = await list();
  const first = listings();
  // Opening asks for the names, reading does not any more.
  for (let i = 0; i < 3; i++) expect(await list()).toEqual(before);
  expect(listings() - first).toBe(3);
  const program = [
    'import os, sys',
    'held = os.open(sys.argv[1], os.O_RDONLY)',
    'for line in sys.stdin: print(",".join(sorted(n for n in os.listdir(held) if ":" in n)), flush=True)',
  ].join('\n');
  const client = spawn('python3', ['-c', program, join(directory, path)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  const held = async () => {
    client.stdin.write('list\n');
    return (await lines.next()).value;
  };
  expect(await held()).toBe([...before].sort().join(','));
  await write('bus/pci/devices/0000:01:00.0/sriov_numvfs', '1');
  await write('bus/pci/devices/0000:01:10.0/driver_override', 'vfio-pci');
  await write('bus/pci/drivers/igbvf/unbind', '0000:01:10.0');
  expect(await held()).toBe([...before].sort().join(','));
  await write('bus/pci/drivers/vfio-pci/bind', '0000:01:10.0');
  expect(await held()).toBe([...before, '0000:01:10.0'].sort().join(','));
  expect(await list()).toEqual(expect.arrayContaining(['0000:01:10.0']));
  await write('bus/pci/drivers/vfio-pci/unbind', '0000:01:10.0');
  expect(await held()).toBe([...before].sort().join(','));
  client.stdin.end();
  await once(client, 'close');
});
