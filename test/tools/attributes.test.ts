/** Shell scripts as administrators write them, on the attributes that vendors and topologies give to functions. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, output, realState, sh } from './host.js';

const before = realState();
beforeAll(build, 300_000);
afterAll(() => expect(realState()).toBe(before));

/** What a write is refused with. */
const refused = `refused() { { echo "$1" > "$2"; } 2>&1 | sed 's/.*error: //'; }`;

describe('vGPUs on VFs', () => {
  test('are made by the first VF that has none and can have the type, as often as asked, and are cleared again', async () => {
    const text = await output(
      `pf=/sys/bus/pci/devices/0000:41:00.0
      make() { # NAME COUNT
        local left=$2 vf id
        for vf in $(ls -dv $pf/virtfn*); do
          [ $left -gt 0 ] || return 0
          [ "$(cat $vf/nvidia/current_vgpu_type)" = 0 ] || continue
          id=$(awk -F' *: *' -v name="NVIDIA $1" '$2 == name { print $1 }' $vf/nvidia/creatable_vgpu_types)
          [ -n "$id" ] || continue
          echo $id > $vf/nvidia/current_vgpu_type; left=$((left - 1))
        done
        [ $left = 0 ] || echo "$left of $1 could not be made"
      }
      show() { for vf in $(ls -dv $pf/virtfn*); do cat $vf/nvidia/current_vgpu_type; done | xargs; }
      make L40S-16Q 4; show
      for vf in $pf/virtfn*; do echo 0 > $vf/nvidia/current_vgpu_type; done
      make L40S-24Q 1; make L40S-12Q 1; make L40S-24Q 1; show
      echo 0 > $pf/sriov_numvfs; echo 32 > $pf/sriov_numvfs; make L40S-1Q 32; show | wc -w; head -c 100 $pf/virtfn0/nvidia/creatable_vgpu_types`,
      'nvidia-vgpu',
    );
    expect(text.split('\n')).toEqual([
      ...['1 of L40S-16Q could not be made', '1154 1154 1154 0'],
      ...['1 of L40S-12Q could not be made', '1155 1155 0 0', '32', ''],
    ]);
  });

  test('a vGPU that somebody has open can neither be changed nor given parameters, and without one there is nothing to open', async () => {
    const text = await output(
      `${refused}
      cd /sys/bus/pci/devices/0000:41:00.4; n=/dev/vfio/devices/$(ls vfio-dev)
      hold() { python3 - "$@" <<'END'
import fcntl, os, struct, subprocess, sys
device, iommufd = os.open(sys.argv[1], os.O_RDWR), os.open('/dev/iommu', os.O_RDWR)
try:
    fcntl.ioctl(device, 0x3b76, struct.pack('<IIiI', 16, 0, iommufd, 0) )
except OSError as error:
    print(error.strerror)
else:
    subprocess.run(['bash', '-c', sys.argv[2]])
END
      }
      hold $n true
      echo enable_uvm=1,frame_rate_limiter=0 > nvidia/vgpu_params; refused 'a b' nvidia/vgpu_params
      echo 1147 > nvidia/current_vgpu_type
      export -f refused
      hold $n 'refused 0 nvidia/current_vgpu_type; refused x=1 nvidia/vgpu_params; refused abc nvidia/current_vgpu_type'
      cat nvidia/vgpu_params nvidia/placement_id; echo ' ' > nvidia/vgpu_params; echo 0 > nvidia/current_vgpu_type`,
      'nvidia-vgpu',
    );
    expect(text.split('\n')).toEqual([
      ...['No such device', 'Invalid argument'],
      ...Array.from({ length: 3 }, () => 'Device or resource busy'),
      ...['enable_uvm=1,frame_rate_limiter=0', 'Not Applicable', ''],
    ]);
  });

  test('the directory goes with the driver', async () => {
    const { out } = await sh(
      `cd /sys/bus/pci/devices/0000:41:00.4; echo 1156 > nvidia/current_vgpu_type
      driverctl --nosave set-override 0000:41:00.4 vfio-pci; [ ! -e nvidia ]; ls ../0000:41:00.5/nvidia
      driverctl --nosave unset-override 0000:41:00.4; cat nvidia/current_vgpu_type; basename $(readlink driver)`,
      'nvidia-vgpu',
    );
    expect(out.split('\n')).toEqual([
      ...['creatable_vgpu_types', 'current_vgpu_type', 'placement_id', 'vgpu_params', '0', 'nvidia', ''],
    ]);
  });
});

test('modes, counters, actions, udev and a driver with attributes of its own', async () => {
  const text = await output(
    `${refused}
    cd /sys/bus/pci/devices/0000:00:04.0/acme; cat mode; xargs < modes; stat -c '%a %n' *
    echo fast > mode; echo normal > mode; refused faster mode; cat switched; exec 8</dev/vfio/devices/vfio0; echo slow > mode; exec 8<&-
    cat switched opens; echo 1 > reset_counters; cat switched
    ls calibration 2>/dev/null || echo none; echo 1 > calibrate; cat calibration/offset mode; echo -12 > calibration/offset
    refused x calibration/offset; cat calibration/offset
    cat /sys/bus/pci/drivers/acme/build
    cd ../../0000:00:05.1; echo 4G > bandwidth; cat ../0000:00:05.2/bandwidths; refused 8G ../0000:00:05.2/bandwidth
    echo none > bandwidth; echo 8G > ../0000:00:05.2/bandwidth; cat bandwidths`,
    'examples/attributes.yaml',
  );
  expect(text.split('\n')).toEqual([
    ...[
      'normal',
      'slow normal fast',
      '200 calibrate',
      '644 mode',
      '444 modes',
      '444 opens',
      '200 reset_counters',
    ],
    ...[
      '444 switched',
      'Invalid argument',
      '2',
      '3',
      '0',
      '0',
      'none',
      '0',
      'slow',
      'Invalid argument',
      '-12',
    ],
    ...['acme 4.2', 'debug: off', '2G\t2', '4G\t1', 'No space left on device', ''],
  ]);
});
