/** Programs that choose and bind variant drivers of vfio-pci. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, output, realState, sh } from './host.js';

const topology = 'examples/variants.yaml';
const before = realState();
beforeAll(build);
afterAll(() => expect(realState()).toBe(before));

test('modprobe of a vfio_pci: alias finds the variant, of the modalias the host driver', async () => {
  const text = await output(
    `m=$(cat /sys/bus/pci/devices/0000:01:00.2/modalias)
    for alias in $m vfio_$m; do modprobe --show-depends $alias; done
    modinfo -F alias mlx5_vfio_pci; ls -l /sys/module/mlx5_vfio_pci/drivers | sed -n 's/.*-> //p'`,
    topology,
  );
  expect(text).toBe(
    'builtin mlx5_core\nbuiltin mlx5_vfio_pci\nbuiltin vfio_pci\n' +
      'vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*\n../../../bus/pci/drivers/mlx5_vfio_pci\n',
  );
});

test('driverctl set-override gives a VF to its variant, and back', async () => {
  const text = await output(
    `show() { basename $(readlink /sys/bus/pci/devices/0000:01:00.2/driver); ls /dev/vfio; lspci -ks 01:00.2 | grep use:; }
    show; driverctl --nosave set-override 0000:01:00.2 mlx5_vfio_pci; show
    driverctl list-overrides; driverctl --nosave unset-override 0000:01:00.2; show`,
    topology,
  );
  const rest = ['mlx5_core', 'devices', 'vfio', '\tKernel driver in use: mlx5_core'];
  const bound = text.split('\n').filter((line) => !/^\tKernel modules|^\d+$/.test(line));
  expect(bound).toEqual([
    ...rest,
    ...[
      'mlx5_vfio_pci',
      'devices',
      'vfio',
      '\tKernel driver in use: mlx5_vfio_pci',
      '0000:00:04.0 vfio-pci',
      '0000:01:00.2 mlx5_vfio_pci',
    ],
    ...rest,
    '',
  ]);
});

test('its ids match nothing that is not overridden', async () => {
  const { out } = await sh(
    `cd /sys/bus/pci; echo 0000:01:00.2 > devices/0000:01:00.2/driver/unbind
    echo 0000:01:00.2 > drivers/mlx5_vfio_pci/bind 2>&1 || echo refused`,
    topology,
  );
  expect(out).toContain('refused');
});

test('a profile is chosen below the device that vfio makes of it, while nobody has it open', async () => {
  const text = await output(
    `driverctl --nosave set-override 0000:02:00.1 virtio_vfio_pci
    cd /sys/bus/pci/devices/0000:02:00.1/vfio-dev/vfio*/profiles; cut -f1 available; cat current
    echo native > current; cat current; { echo x > current; } 2>&1 | sed 's/.*: //'
    exec 8</dev/vfio/devices/$(basename $(dirname $PWD)); { echo transitional > current; } 2>&1 | sed 's/.*: //'
    exec 8<&-; echo transitional > current; cat current`,
    topology,
  );
  expect(text.split('\n')).toEqual([
    ...['native', 'native-no-migration', 'transitional', 'transitional-no-migration', 'transitional'],
    ...['native', 'Invalid argument', 'Device or resource busy', 'transitional', ''],
  ]);
});
