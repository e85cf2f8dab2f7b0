import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Machine } from '../../src/machine.js';
import { hostMounts } from '../../src/projections/index.js';
import { loadTopology, presetNames } from '../../src/topology/index.js';
import type { DirectoryNode } from '../../src/vfs/node.js';
import { errno, everything, list, machine, open, read, realpath, walk, write } from './machine.js';

/** A machine in use: one function of a shared group with VFIO, its neighbour unbound, another one without a driver. */
async function busyMachine() {
  const made = machine();
  for (const bdf of ['0000:00:05.0', '0000:01:00.0']) {
    const device = `/sys/bus/pci/devices/${bdf}`;
    if (realpath(made.tree, `${device}/driver`)) await write(made.tree, `${device}/driver/unbind`, bdf);
    write(made.tree, `${device}/driver_override`, 'vfio-pci');
    write(made.tree, '/sys/bus/pci/drivers/vfio-pci/bind', bdf);
  }
  return made;
}

const dangling = (tree: DirectoryNode) =>
  [...everything(tree)].flatMap(([path, node]) =>
    node.kind === 'symlink' && realpath(tree, path) === undefined ? [path] : [],
  );
const folder = join(import.meta.dirname, '../../examples');
const examples = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
const uuid = '0b3bd1c4-1c59-4b5c-8b8e-1f0c5f3d0a01';

describe('the whole tree', () => {
  it('has no link that dangles', async () => {
    const { tree } = await busyMachine();
    expect([...everything(tree)].filter(([, node]) => node.kind === 'symlink').length).toBeGreaterThan(100);
    expect(dangling(tree)).toEqual([]);
  });

  it.each([...presetNames(), ...examples])('of %s has no link that dangles', (name) => {
    const machine = new Machine(loadTopology(name.endsWith('.yaml') ? join(folder, name) : name), {
      pages: 'buffer',
    });
    try {
      const { host, root: tree } = machine;
      // One of each sort of device that a driver can make.
      for (const { fn, types } of host.mdevs.parents.values())
        write(tree, `/sys/class/mdev_bus/${fn.bdf}/mdev_supported_types/${types[0]!.name}/create`, uuid);
      for (const fn of host.auxiliaries.parents.keys())
        write(tree, `/sys/bus/pci/devices/${fn.bdf}/auxiliary/add`, '1');
      expect(dangling(tree)).toEqual([]);
    } finally {
      machine.destroy();
    }
  });

  it('keeps links relative and inside /sys, so that it can be bound there', async () => {
    const { tree } = await busyMachine();
    for (const [path, node] of everything(tree)) {
      if (node.kind !== 'symlink' || path.startsWith('/lib/')) continue;
      expect(node.target(), path).toMatch(/^(\.\.\/)+[^/.]/);
      expect(realpath(tree, path), path).toMatch(/^\/sys\//);
    }
  });

  it('gives text attributes a page, links no size, and directories as many links as they have subdirectories', async () => {
    const { tree } = await busyMachine();
    for (const [path, node] of everything(tree)) {
      const { mode, size, nlink } = node.attributes();
      if (node.kind === 'symlink') expect([path, mode, size]).toEqual([path, 0o777, undefined]);
      if (node.kind !== 'directory') continue;
      const directories = [...node.names()].filter((name) => node.lookup(name)?.kind === 'directory');
      expect([path, nlink]).toEqual([path, 2 + directories.length]);
    }
  });

  it('refuses each access that the mode grants nobody, to root as well', async () => {
    const { tree } = await busyMachine();
    for (const [path, node] of everything(tree)) {
      if (node.kind !== 'file' || !path.startsWith('/sys/')) continue;
      const { mode } = node.attributes();
      const attempt = (how: 'r' | 'w' | 'rw') => () => open(tree, path, how).release?.();
      const refused = { r: !(mode & 0o444), w: !(mode & 0o222), rw: !(mode & 0o444) || !(mode & 0o222) };
      for (const how of ['r', 'w', 'rw'] as const)
        if (refused[how]) expect(attempt(how), `${path} ${how}`).toThrow(errno('EACCES'));
        else expect(attempt(how), `${path} ${how}`).not.toThrow();
    }
  });

  it('shows something in every readable attribute, one line at least where the kernel has one', async () => {
    const { tree } = await busyMachine();
    const mayFail = /\/(autosuspend_delay_ms|rom|resource\d(_wc)?)$/;
    for (const [path, node] of everything(tree)) {
      if (node.kind !== 'file' || !path.startsWith('/sys/') || mayFail.test(path)) continue;
      if (node.attributes().mode & 0o444) expect(() => read(tree, path), path).not.toThrow();
    }
  });

  it('looks up nothing that it does not list, other functions and groups least of all', async () => {
    const { tree, host } = await busyMachine();
    const odd = [
      '',
      '..',
      'constructor',
      '__proto__',
      '0',
      '0000:00:04',
      '0000:00:04.0x',
      'vfio00',
      'pci:',
      '1',
    ];
    for (const [path, node] of everything(tree)) {
      if (node.kind !== 'directory') continue;
      const names = new Set(node.names());
      for (const name of [...odd, ...host.functions.keys()])
        if (!names.has(name)) expect(node.lookup(name), `${path}/${name}`).toBeUndefined();
    }
  });
});

describe('host mounts', () => {
  it('are empty directories beside what is there', () => {
    const { tree } = machine();
    for (const path of hostMounts)
      expect(list(tree, path), path).toEqual(path === '/sys/fs' ? ['cgroup'] : []);
    expect(list(tree, '/sys/kernel')).toContain('iommu_groups');
    expect(walk(tree, '/sys/kernel')?.attributes().nlink).toBe(2 + list(tree, '/sys/kernel').length);
    expect(read(tree, '/sys/bus/pci/devices/0000:00:04.0/vendor')).toBe('0x1234\n');
  });
});
