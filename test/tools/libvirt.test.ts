/** libvirt's daemon before the pretend /sys: devices, mediated types, and who it gives a function to. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, output, realState } from './host.js';

const before = realState();
beforeAll(build, 300_000);
afterAll(() => expect(realState()).toBe(before));

const run = (script: string, topology: string) =>
  output(`source test/tools/libvirtd.sh\n${script}`, topology).then((text) => text.trim().split('\n'));
const driver = `driver() { basename $(readlink /sys/bus/pci/devices/$1/driver); }`;

test('nodedev-list and nodedev-dumpxml know parents, their types, and the devices made of them', async () => {
  const uuid = 'c0a5c5d6-0000-4000-8000-000000000001';
  const text = await run(
    `virsh nodedev-list --cap mdev_types | grep .
    virsh nodedev-dumpxml pci_0000_00_05_0 | sed -n '/mdev_types/,$p'
    virsh nodedev-list --cap mdev | grep . || echo none
    virsh nodedev-dumpxml pci_0000_00_04_0 | grep -c mdev_types || true`,
    'examples/mdev.yaml',
  );
  const type = (id: string, name: string, available: number) => [
    `      <type id='${id}'>`,
    `        <name>${name}</name>`,
    '        <deviceAPI>vfio-pci</deviceAPI>',
    `        <availableInstances>${available}</availableInstances>`,
    '      </type>',
  ];
  expect(text).toEqual([
    'pci_0000_00_05_0',
    "    <capability type='mdev_types'>",
    ...type('mtty-1', 'Single port serial', 24),
    ...type('mtty-2', 'Dual port serial', 12),
    '    </capability>',
    "    <iommuGroup number='1'>",
    "      <address domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>",
    ...['    </iommuGroup>', '  </capability>', '</device>', 'none', '0'],
  ]);
  // Without udevd, who tells it of the kernel's events, it knows what is there when it starts.
  const found = await output(
    `echo ${uuid} > /sys/class/mdev_bus/0000:00:05.0/mdev_supported_types/mtty-2/create
    source test/tools/libvirtd.sh
    virsh nodedev-dumpxml $(virsh nodedev-list --cap mdev) | sed -n '/<parent>/,$p'`,
    'examples/mdev.yaml',
  );
  for (const part of [
    '<parent>pci_0000_00_05_0</parent>',
    '<name>mtty</name>',
    "<type id='mtty-2'/>",
    `<uuid>${uuid}</uuid>`,
    '<parent_addr>0000:00:05.0</parent_addr>',
    "<iommuGroup number='2'/>",
  ])
    expect(found).toContain(part);
});

test('nodedev-detach takes the variant with the fewest wildcards, any driver that is named, and nodedev-reattach gives back', async () => {
  const text = await run(
    `${driver}
    for vf in 01_00_2 02_00_1; do
      bdf=0000:$(echo $vf | sed 's/\\(.*\\)_\\(.*\\)_/\\1:\\2./')
      virsh nodedev-detach pci_0000_$vf >/dev/null; driver $bdf
      virsh nodedev-reattach pci_0000_$vf >/dev/null; driver $bdf
    done
    virsh nodedev-detach pci_0000_01_00_3 --driver vfio-pci >/dev/null; driver 0000:01:00.3
    virsh nodedev-detach pci_0000_02_00_2 --driver virtio_vfio_pci >/dev/null; driver 0000:02:00.2
    virsh nodedev-dumpxml pci_0000_01_00_3 | grep -A1 phys_function | tail -1
    virsh nodedev-detach pci_0000_01_00_0 >/dev/null; driver 0000:01:00.0`,
    'examples/variants.yaml',
  );
  expect(text).toEqual([
    ...['mlx5_vfio_pci', 'mlx5_core', 'virtio_vfio_pci', 'virtio-pci'],
    ...['vfio-pci', 'virtio_vfio_pci'],
    "      <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>",
    'vfio-pci',
  ]);
});
