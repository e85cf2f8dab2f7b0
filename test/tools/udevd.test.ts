/** A real udevd before the pretend /sys: rules, its database, its links, and who listens to it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, output, realState } from './host.js';

const before = realState();
beforeAll(build, 300_000);
afterAll(() => expect(realState()).toBe(before));

const run = async (script: string, topology?: string) =>
  (await output(`source test/tools/udevd.sh\n${script}`, topology)).trim().split('\n');
/** What every user of VFIO writes. */
const rules = `rules='SUBSYSTEM=="vfio", OWNER="nobody", GROUP="kvm", MODE="0660"'`;
const rebind = `for file in unbind bind; do echo 0000:00:04.0 > /sys/bus/pci/drivers/vfio-pci/$file; done`;

test('a rule gives groups away: those that are there, by a trigger, and those that come', async () => {
  const text = await output(`${rules}
    source test/tools/udevd.sh
    show() { stat -c '%U:%G %a' /dev/vfio/1; }
    show; udevadm trigger --settle --subsystem-match=vfio; show
    ${rebind}
    udevadm settle; show
    udevadm wait --timeout=5 /dev/vfio/1
    for link in $(ls /dev/char); do echo $link $(readlink /dev/char/$link); done
    setpriv --reuid nobody --regid nogroup --clear-groups sh -c ': <>/dev/vfio/1' && echo opened`);
  expect(text.trim().split('\n')).toEqual([
    ...['root:root 600', 'nobody:kvm 660', 'nobody:kvm 660'],
    ...['251:0 ../vfio/devices/vfio0', '252:0 ../vfio/1', 'opened'],
  ]);
});

test('who listens to udevd hears what it has made of an event, and finds it in its database', async () => {
  const text = await run(`
    exec 3< <(exec stdbuf -oL udevadm monitor --udev --property); listener=$!
    until [[ $line = UDEV* ]]; do read -r -t 10 line <&3 || exit 1; done
    ${rebind}
    until [[ $line = ID_MODEL_FROM_DATABASE* ]]; do read -r -t 10 line <&3 || exit 1; done; echo "$line"
    kill $listener
    udevadm settle
    udevadm info --query=property --property=ID_PATH,DRIVER /sys/bus/pci/devices/0000:00:04.0`);
  expect(text).toEqual([
    'ID_MODEL_FROM_DATABASE=Sky Lake-E CBDMA Registers',
    ...['DRIVER=vfio-pci', 'ID_PATH=pci-0000:00:04.0'],
  ]);
});

test('libvirtd learns of devices that come and go, and nodedev-create returns when its device is there', async () => {
  const uuid = 'c0a5c5d6-0000-4000-8000-000000000001';
  const name = `mdev_${uuid.replaceAll('-', '_')}_0000_00_05_0`;
  const text = await run(
    `source test/tools/libvirtd.sh
    cat >$root/run/libvirt/mdev.xml <<END
<device><parent>pci_0000_00_05_0</parent>
  <capability type='mdev'><type id='mtty-2'/><uuid>${uuid}</uuid></capability></device>
END
    seconds=$SECONDS
    virsh nodedev-create /run/libvirt/mdev.xml
    [ $((SECONDS - seconds)) -lt 20 ] && echo at once
    virsh nodedev-list --cap mdev | grep .
    cat /sys/bus/mdev/devices/${uuid}/mdev_type/name
    virsh nodedev-destroy ${name}
    # The list follows udevd, which follows the kernel.
    listed() { virsh nodedev-list --cap pci | grep -cx pci_0000_00_04_0 || true; }
    until_listed() { for _ in $(seq 100); do [ "$(listed)" != $1 ] || break; sleep 0.1; done; listed; }
    ls /sys/bus/mdev/devices | wc -l
    echo 1 > /sys/bus/pci/devices/0000:00:04.0/remove; until_listed 0
    echo 1 > /sys/bus/pci/rescan; until_listed 1`,
    'examples/mdev.yaml',
  );
  expect(text.filter(Boolean)).toEqual(['at once', name, 'Dual port serial', '0', '0', '1']);
}, 90_000);
