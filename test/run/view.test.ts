import { describe, expect, test } from 'vitest';
import { type RealEntry, withReal } from '../../src/run/beside.js';
import { shapeOf } from '../../src/run/shape.js';
import { findStage, type ViewOptions, viewSteps } from '../../src/run/view.js';
import type { DirectoryNode, FileNode, VfsNode } from '../../src/vfs/node.js';

interface Tree {
  readonly [name: string]: Tree | 'file';
}

const file: FileNode = { kind: 'file', attributes: () => ({ mode: 0o600 }), open: () => ({}) };

function directory(tree: Tree): DirectoryNode {
  const nodes = new Map<string, VfsNode>(
    Object.entries(tree).map(([name, value]) => [name, value === 'file' ? file : directory(value)]),
  );
  return {
    kind: 'directory',
    attributes: () => ({ mode: 0o755 }),
    lookup: (name) => nodes.get(name),
    names: () => nodes.keys(),
  };
}

const host = directory({
  sys: { devices: { system: {} }, kernel: { mm: {} } },
  dev: { vfio: { vfio: 'file' }, iommu: 'file' },
  proc: {
    bus: { pci: { devices: 'file', '00': { '04.0': 'file' } } },
    modules: 'file',
    sys: { kernel: { tainted: 'file', made_up: 'file' } },
    vfio: { x: 'file' },
  },
  lib: { modules: { '6.1': {} } },
});
const realDev: RealEntry[] = [
  { name: 'null', kind: 'file' },
  { name: 'shm', kind: 'directory' },
  { name: 'fd', kind: 'link', target: '/proc/self/fd' },
  { name: 'vfio', kind: 'directory' },
];

describe('/dev', () => {
  test('its shape is what is laid over real names', () => {
    expect(shapeOf(host, ['/sys/devices/system', '/sys/none'])).toEqual({
      directories: ['/sys/devices/system'],
      procDirectories: ['/proc/bus/pci'],
      procFiles: ['/proc/modules', '/proc/sys/kernel/tainted', '/proc/sys/kernel/made_up', '/proc/vfio/x'],
      dev: ['vfio', 'iommu'],
      lib: ['modules'],
    });
  });

  test('a host without dev is a bug', () => {
    expect(() => withReal(directory({}), 'dev', [])).toThrow(/no \/dev/);
  });

  test('has places for the real entries; the pretend names win', () => {
    const root = withReal(host, 'dev', realDev);
    const dev = root.lookup('dev') as DirectoryNode;
    expect([...dev.names()].sort()).toEqual(['fd', 'iommu', 'null', 'shm', 'vfio']);
    expect((dev.lookup('vfio') as DirectoryNode).lookup('vfio')).toBe(file);
    expect(dev.lookup('fd')).toMatchObject({ kind: 'symlink' });
    expect(dev.lookup('none')).toBeUndefined();
    expect(root.lookup('sys')).toBe(host.lookup('sys'));
  });

  test('a place is the same node each time, so that the kernel keeps what is mounted on it', () => {
    const dev = withReal(host, 'dev', realDev).lookup('dev') as DirectoryNode;
    expect(dev.lookup('null')).toBe(dev.lookup('null'));
  });

  test('a place that nothing is bound onto refuses to open', () => {
    const dev = withReal(host, 'dev', realDev).lookup('dev') as DirectoryNode;
    const place = dev.lookup('null') as FileNode;
    expect(() => place.open({ flags: 0, reads: true, writes: false }, undefined as never)).toThrow(/ENXIO/);
  });
});

describe('launcher steps', () => {
  const real = new Map<string, 'file' | 'directory'>([
    ['/sys/devices/system', 'directory'],
    ['/proc', 'directory'],
    ['/proc/modules', 'file'],
    ['/proc/sys', 'directory'],
    ['/proc/sys/kernel', 'directory'],
    ['/proc/sys/kernel/tainted', 'file'],
    ['/mnt', 'directory'],
  ]);
  const options = (changes: Partial<ViewOptions> = {}): ViewOptions => ({
    stage: '/mnt',
    source: 'vfiofs:1',
    mountOptions: 'opts',
    shape: shapeOf(host, ['/sys/devices/system', '/sys/kernel/mm', '/sys/not/in/the/tree']),
    beside: { dev: realDev.slice(0, 3) },
    real: (path) => real.get(path),
    ...changes,
  });

  test('nothing is bound that one side lacks', () => {
    expect(viewSteps(options()).join(' ')).toBe(
      [
        '--die-with-parent --fuse /mnt vfiofs:1 opts --ready',
        '--rbind /sys/devices/system /mnt/sys/devices/system',
        '--bind /dev/null /mnt/dev/null --rbind /dev/shm /mnt/dev/shm',
        '--rbind /mnt/sys /sys --rbind /mnt/dev /dev',
        '--bind /mnt/proc/modules /proc/modules --bind /mnt/proc/sys/kernel/tainted /proc/sys/kernel/tainted',
        '--umount /mnt',
      ].join(' '),
    );
  });

  test('/proc/bus/pci is put over the real one as a whole, where there is one', () => {
    real.set('/proc/bus/pci', 'directory');
    expect(viewSteps(options()).join(' ')).toContain(
      '--bind /mnt/proc/bus/pci /proc/bus/pci --bind /mnt/proc/modules /proc/modules',
    );
    real.delete('/proc/bus/pci');
  });

  test('module files are put over the real ones where there are any', () => {
    real.set('/lib/modules', 'directory');
    expect(viewSteps(options()).join(' ')).toContain('--bind /mnt/lib/modules /lib/modules --umount');
    real.delete('/lib/modules');
  });

  test('where there are none, the directory that /lib is gets composed, and nothing in it is lost', () => {
    const lib: RealEntry[] = [
      { name: 'os-release', kind: 'file' },
      { name: 'x86_64-linux-gnu', kind: 'directory' },
      { name: 'sftp-server', kind: 'link', target: 'openssh/sftp-server' },
    ];
    const steps = viewSteps(
      options({
        beside: { dev: realDev.slice(0, 3), lib },
        library: '/usr/lib',
        workingDirectory: '/usr/lib',
      }),
    ).join(' ');
    expect(steps).toContain(
      '--bind /usr/lib/os-release /mnt/lib/os-release --rbind /usr/lib/x86_64-linux-gnu /mnt/lib/x86_64-linux-gnu --rbind /mnt/sys',
    );
    expect(steps).toContain('--rbind /mnt/lib /usr/lib --umount /mnt --chdir /usr/lib');
    expect(steps).not.toContain('sftp-server');
    expect(steps).not.toContain('/lib/modules');
  });

  test('/lib keeps the real entries beside the pretend modules', () => {
    const root = withReal(host, 'lib', [
      { name: 'os-release', kind: 'file' },
      { name: 'modules', kind: 'link', target: 'gone' },
    ]);
    const lib = root.lookup('lib') as DirectoryNode;
    expect([...lib.names()].sort()).toEqual(['modules', 'os-release']);
    expect(lib.lookup('modules')?.kind).toBe('directory');
  });

  test.each([
    ['/sys/bus', true],
    ['/dev', true],
    ['/system', false],
    ['/mnt/data', false],
  ])('starting in %s needs a chdir: %s', (workingDirectory, needed) => {
    expect(viewSteps(options({ workingDirectory })).includes('--chdir')).toBe(needed);
  });

  test('the stage is a directory that exists', () => {
    expect(() => findStage(() => undefined)).toThrow(/no \/mnt/);
    expect(findStage((path) => (path === '/srv' ? 'directory' : 'file'))).toBe('/srv');
  });
});
