/** What descriptors that ioctls return are called under `run`, and what stat says of them: as in the kernel they have no path. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { build, vfiofs } from '../cli/program.js';

beforeAll(build);

const opened = `
import fcntl, os, stat, struct, subprocess, sys
container, group = (os.open('/dev/vfio/' + name, os.O_RDWR) for name in ('vfio', '1'))
fcntl.ioctl(group, 0x3b68, struct.pack('i', container)) # VFIO_GROUP_SET_CONTAINER
fcntl.ioctl(container, 0x3b66, 1) # VFIO_SET_IOMMU
device = fcntl.ioctl(group, 0x3b6a, bytearray(b'0000:00:04.0\\0')) # VFIO_GROUP_GET_DEVICE_FD
event = os.eventfd(0)
`;
const python = async (script: string, ...options: string[]) => {
  const { code, out, err } = await vfiofs(['run', ...options, '--', 'python3', '-c', opened + script]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out.trim().split('\n');
};

test('readlink: of a device, cut to the room there is, of its group, of anything else', async () => {
  expect(
    await python(`
import ctypes
print(os.readlink(f'/proc/self/fd/{device}'), os.readlink(f'/proc/{os.getpid()}/fd/{device}'), os.readlink(f'/dev/fd/{device}'))
room = ctypes.create_string_buffer(b'x' * 8)
print(ctypes.CDLL(None).readlink(f'/proc/self/fd/{device}'.encode(), room, 4), room.raw[:6])
print(os.readlink(f'/proc/self/fd/{group}'), os.readlink(f'/proc/self/fd/{event}'), os.readlink('/sys/bus/pci/devices/0000:00:04.0'))
try: os.readlink('/proc/self/fd/9999')
except OSError as error: print(error.strerror)
`),
  ).toEqual([
    'anon_inode:[vfio-device] anon_inode:[vfio-device] anon_inode:[vfio-device]',
    "4 b'anonxx'",
    '/dev/vfio/1 anon_inode:[eventfd] ../../../devices/pci0000:00/0000:00:04.0',
    'No such file or directory',
  ]);
});

test('fstat: the inode that all such files share, of no type', async () => {
  expect(
    await python(`
a, b = os.fstat(device), os.fstat(event)
print(oct(a.st_mode), (a.st_dev, a.st_ino, a.st_rdev) == (b.st_dev, b.st_ino, b.st_rdev), stat.S_ISCHR(os.fstat(group).st_mode))
print(stat.S_ISCHR(os.stat(f'/proc/self/fd/{device}').st_mode), stat.S_ISLNK(os.lstat(f'/proc/self/fd/{device}').st_mode))
`),
  ).toEqual(['0o600 True True', 'False True']);
});

test('ls and lsof of another process', async () => {
  const out = await python(`
sys.stdout.flush()
subprocess.run(['ls', '-l', f'/proc/{os.getpid()}/fd/{device}'], check=True)
subprocess.run(f'lsof -p {os.getpid()} 2> /dev/null | grep vfio-device', shell=True, check=True)
`);
  expect(out[0]).toMatch(/-> anon_inode:\[vfio-device\]$/);
  expect(out[1]).toMatch(/\[vfio-device\]$/);
});

test('an iommufd’s fault queue; a cdev has its path', async () => {
  expect(
    await python(`
os.close(device); os.close(group)
cdev, iommu = os.open('/dev/vfio/devices/vfio0', os.O_RDWR), os.open('/dev/iommu', os.O_RDWR)
queue = bytearray(struct.pack('IIII', 16, 0, 0, 0))
fcntl.ioctl(iommu, 0x3b8e, queue) # IOMMU_FAULT_QUEUE_ALLOC
print(os.readlink(f'/proc/self/fd/{cdev}'), os.readlink(f'/proc/self/fd/{struct.unpack("IIII", queue)[3]}'))
`),
  ).toEqual(['/dev/vfio/devices/vfio0 anon_inode:[iommufd-pgfault]']);
});

test.each([
  ['a variant driver’s', 'mlx5_vfio_pci', 'mlx5vf_mig'],
  ['one that the kernel hasn’t got', 'vfio-pci', 'vfio_mig'],
])('a migration’s data_fd: %s', async (_title, driver, name) => {
  const topology = join(mkdtempSync(join(tmpdir(), 'vfiofs-names-')), 'host.yaml');
  writeFileSync(
    topology,
    `
functions:
  - bdf: 0000:00:04.0
    model: ioat
    ${driver === 'vfio-pci' ? '' : 'vendor: 0x15b3'}
    ${driver === 'vfio-pci' ? '' : 'device: 0x101e'}
    driver: ${driver}
    pcie: { type: rc-endpoint, flr: true }
    migration: { flags: [stop-copy] }
`,
  );
  const script = `
import fcntl, os, struct, sys
cdev, iommu = os.open('/dev/vfio/devices/vfio0', os.O_RDWR), os.open('/dev/iommu', os.O_RDWR)
fcntl.ioctl(cdev, 0x3b76, struct.pack('IIiI', 16, 0, iommu, 0)) # VFIO_DEVICE_BIND_IOMMUFD
for state in (3, 1, 4): # STOP_COPY, STOP, RESUMING
    argument = bytearray(struct.pack('IIIi', 16, 2 | 1 << 17, state, -1)) # VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET
    fcntl.ioctl(cdev, 0x3b75, argument)
    file = struct.unpack('IIIi', argument)[3]
    if file >= 0: print(os.readlink(f'/proc/self/fd/{file}'), os.fstat(file).st_ino == os.fstat(os.eventfd(0)).st_ino)
`;
  const { code, out, err } = await vfiofs(['run', topology, '--', 'python3', '-c', script]);
  rmSync(dirname(topology), { recursive: true });
  expect({ code, err, out }).toEqual({ code: 0, err: '', out: `anon_inode:${name} True\n`.repeat(2) });
});
