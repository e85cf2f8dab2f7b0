/** QEMU 10, unmodified, which knows iommufd: an I/OAT engine assigned to a guest by its cdev, by its group, and moved along by a live migration. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, vfiofs } from '../cli/program.js';
import { expectDriven, inView, linux, machine, qemu10 } from './machine.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-qemu-10-'));

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

const iommufd = ['-object', 'iommufd,id=iommufd0'];
const byCdev = [...iommufd, '-device', 'vfio-pci,host=0000:00:04.0,iommufd=iommufd0'];

/** The ioctls of QEMU in a trace, by name, and of those that were refused also the errno. */
function asked(trace: string): Set<string> {
  const lines = trace.matchAll(/vfiofs:ioctl qemu-\S+ \S+ \[[^\]]*\] (\w+).* = (E[A-Z]+)?/g);
  return new Set([...lines].map(([, name, errno]) => (errno ? `${name} ${errno}` : name!)));
}
const refused = (calls: Set<string>) => [...calls].filter((call) => call.includes(' ')).sort();

test.each([
  {
    way: 'by its cdev and an iommufd',
    devices: byCdev,
    uses: [
      'VFIO_DEVICE_BIND_IOMMUFD',
      'IOMMU_GET_HW_INFO',
      'VFIO_DEVICE_ATTACH_IOMMUFD_PT',
      'IOMMU_IOAS_MAP',
    ],
    // The size of the list is asked for by a list of none. A BAR is no memory for iommufd, which QEMU knows.
    refusals: [
      'IOMMU_IOAS_IOVA_RANGES EMSGSIZE',
      'IOMMU_IOAS_MAP EFAULT',
      'IOMMU_IOAS_UNMAP ENOENT',
      'VFIO_DEVICE_FEATURE ENOTTY',
    ],
    complaint: /IOMMU_IOAS_MAP failed: Bad address, PCI BAR\?|dma_map.* = -14 \(Bad address\)/,
  },
  {
    way: 'by its group and a container',
    devices: ['-device', 'vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:00:04.0'],
    uses: ['VFIO_GROUP_SET_CONTAINER', 'VFIO_SET_IOMMU', 'VFIO_GROUP_GET_DEVICE_FD', 'VFIO_IOMMU_MAP_DMA'],
    refusals: ['VFIO_DEVICE_FEATURE ENOTTY'],
    complaint: /^$/,
  },
])(
  'Linux in a guest copies by our DMA: the function is had $way',
  { timeout: 300_000 },
  async ({ devices, uses, refusals, complaint }) => {
    const qemu = qemu10(files);
    const command = machine(qemu, 'q35', ...devices, ...linux(qemu, 'serial.log'));
    const { err, code } = await vfiofs(inView(qemu, 'default', command), { env: { DEBUG: 'vfiofs:ioctl' } });
    const out = readFileSync(join(files, 'serial.log'), 'latin1');
    expect(code, out + err).toBe(0);
    expectDriven(out);
    const calls = asked(err);
    expect([...calls]).toEqual(expect.arrayContaining(uses));
    expect(refused(calls)).toEqual(refusals);
    // Nothing of the other way, and no other complaint of QEMU's.
    const other = uses.includes('IOMMU_IOAS_MAP') ? 'VFIO_GROUP_' : 'IOMMU_IOAS_';
    expect([...calls].filter((call) => call.startsWith(other))).toEqual([]);
    const complaints = err.split('\n').filter((line) => line.startsWith('qemu-system'));
    expect(complaints.filter((line) => !complaint.test(line))).toEqual([]);
  },
);

test('without supervision a cdev is no character device, and QEMU does not take it', async () => {
  const qemu = qemu10(files);
  const [run, ...rest] = inView(qemu, 'default', machine(qemu, 'q35', ...byCdev));
  const { err, code } = await vfiofs([run!, '--no-supervise', ...rest]);
  expect(code).toBe(1);
  expect(err).toContain('Failed to open /dev/vfio/devices/vfio0');
});

/**
 * Without mapping its BAR: of one that is mapped around its MSI-X table QEMU 10 asks the IOMMU for a piece of a page (vfio_sync_dirty_bitmap()),
 * which is EINVAL to every kernel (iommufd_check_iova_range()), and the migration fails.
 */
const asTracked = '0000:00:04.0,x-no-mmap=on';

/** Two engines: of the first the IOMMU says which pages it wrote, of the second the device itself. */
const pair = `iommu: { kind: intel, scalable_mode: true }
functions:
${['04.0, dma_logging: false', '05.0, dma_logging: true']
  .map(
    (place) =>
      `  - { bdf: 0000:00:${place}, model: ioat, options: { channels: 2 }, driver: vfio-pci, migration: { flags: [stop-copy, p2p, pre-copy] } }`,
  )
  .join('\n')}
`;

test('a guest moves to another function while it copies, and back', { timeout: 300_000 }, async () => {
  const qemu = qemu10(files);
  const topology = join(files, 'pair.yaml');
  writeFileSync(topology, pair);
  const copies = 600;
  const { out, err, code } = await vfiofs(
    inView(qemu, topology, [
      ...['python3', join(import.meta.dirname, 'migrate.py'), files, qemu.files],
      ...[`${asTracked} 0000:00:05.0 ${asTracked}`, 'copies: loading'],
      ...machine(qemu, 'q35', ...iommufd, ...linux(qemu, 'NAME.log', `loglevel=5 copies=${copies}`)),
    ]),
    { env: { DEBUG: 'vfiofs:ioctl' } },
  );
  expect(code, out + err.slice(-4000)).toBe(0);
  expect(out.split('\n').slice(0, 2)).toEqual(['moved to 0000:00:05.0', `moved to ${asTracked}`]);
  const consoles = ['0', '1', '2'].map((name) => readFileSync(join(files, `${name}.log`), 'latin1'));
  // Each was left in the middle of it.
  for (const left of consoles.slice(0, 2)) expect(left).not.toContain(`of ${copies}`);
  expectDriven(consoles.join(''), copies);
  expect([...asked(err)]).toEqual(
    expect.arrayContaining([
      'VFIO_MIG_GET_PRECOPY_INFO',
      'IOMMU_HWPT_SET_DIRTY_TRACKING',
      'IOMMU_HWPT_GET_DIRTY_BITMAP',
      'VFIO_DEVICE_FEATURE',
    ]),
  );
});
