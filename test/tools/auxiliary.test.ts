/** Functions of the auxiliary bus, by the shell and a C client: made, found, bound, opened, used, taken away. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, output, realState, root } from './host.js';

const clients = mkdtempSync(join(tmpdir(), 'vfiofs-siov-'));
const before = realState();
const names = ['ioat-cdev', 'ioat-group'];

beforeAll(() => {
  build();
  const targets = names.map((name) => join(clients, name));
  const made = spawnSync('make', ['-s', '-C', join(root, 'test/clients'), `OUT=${clients}`, ...targets]);
  expect([made.status, String(made.stderr)]).toEqual([0, '']);
}, 300_000);
afterAll(() => {
  rmSync(clients, { recursive: true });
  expect(realState()).toBe(before);
});

const run = (script: string) =>
  output(
    `refused() { { echo "$1" > "$2"; } 2>&1 | sed 's/.*error: //'; }
  cd /sys/bus/pci/devices/0000:00:05.0\n${script}`,
    'siov',
  ).then((text) => text.trim().split('\n'));

test('a function is made by its number, found by it, and known to modprobe', async () => {
  const text = await run(
    `cat auxiliary/available; echo 88 > auxiliary/add; cat auxiliary/available
    cd /sys/bus/auxiliary/devices; d=$(dirname $(grep -lx 88 */sfnum)); echo $d; readlink $d; cat $d/uevent
    readlink $d/subsystem $d/driver $d/driver/module; cat $d/iommu_group/name; ls $d/vfio-dev /dev/vfio/devices
    modprobe --show-depends $(sed -n s/MODALIAS=//p $d/uevent)
    cd /sys/bus/pci/devices/0000:00:05.0; refused 88 auxiliary/add; refused x auxiliary/add
    for i in 1 2 3 4 5 6 7; do echo $i > auxiliary/add; done; refused 9 auxiliary/add; refused 9 auxiliary/remove
    echo 88 > auxiliary/remove; cat auxiliary/available; ls /sys/bus/auxiliary/devices | wc -l`,
  );
  expect(text).toEqual([
    ...['8', '7', 'acme_dma.sf.0', '../../../devices/pci0000:00/0000:00:05.0/acme_dma.sf.0'],
    ...['DRIVER=vfio_acme_dma.sf', 'MODALIAS=auxiliary:acme_dma.sf', '../../../../bus/auxiliary'],
    ...[
      '../../../../bus/auxiliary/drivers/vfio_acme_dma.sf',
      '../../../../module/vfio_acme_dma',
      'vfio-noiommu',
    ],
    ...['/dev/vfio/devices:', 'vfio0', '', 'acme_dma.sf.0/vfio-dev:', 'vfio0', 'builtin vfio_acme_dma'],
    ...['File exists', 'Invalid argument', 'No space left on device', 'No such device', '1', '7'],
  ]);
});

test.each(['ioat-cdev', 'ioat-group'])('%s copies memory with one', async (client) => {
  const text = await run(
    `echo 1 > auxiliary/add; ${clients}/${client} --auxiliary acme_dma.sf.0 --size 2 --private`,
  );
  expect(text.at(-1)).toMatch(/^ok {2}bandwidth/);
});

test('its driver can be taken away and given back, and takes what is new only while it probes by itself', async () => {
  const text = await run(
    `echo 1 > auxiliary/add; bus=/sys/bus/auxiliary; d=$bus/drivers/vfio_acme_dma.sf
    refused acme_dma.sf.0 $d/bind; echo acme_dma.sf.0 > $d/unbind; refused acme_dma.sf.0 $d/unbind; ls /dev/vfio
    echo acme_dma.sf.0 > $d/bind; ls /dev/vfio
    echo 0 > $bus/drivers_autoprobe; echo 2 > auxiliary/add; [ ! -e acme_dma.sf.1/driver ]; echo acme_dma.sf.1 > $bus/drivers_probe
    basename $(readlink acme_dma.sf.1/driver); refused acme_dma.sf.7 $d/bind`,
  );
  expect(text).toEqual([
    ...['Device or resource busy', 'No such device', 'devices', 'vfio', '1', 'devices', 'vfio'],
    ...['vfio_acme_dma.sf', 'No such device'],
  ]);
});

test('taking away asks the user and waits for him; so does the driver that made it', async () => {
  const text = await run(
    `echo 1 > auxiliary/add; exec 8</dev/vfio/devices/vfio0
    { echo 1 > auxiliary/remove; } 8<&- & waiting=$!
    while [ -e /sys/bus/auxiliary/devices/acme_dma.sf.0 ]; do :; done
    ls -d acme_dma.sf.0; refused 1 auxiliary/add; cat auxiliary/available; exec 8<&-; wait $waiting
    echo $(ls -d acme_dma* 2>/dev/null) $(cat auxiliary/available)
    echo 3 > auxiliary/add; echo 0000:00:05.0 > driver/unbind; ls /sys/bus/auxiliary/devices; [ ! -e auxiliary ]; ls /dev/vfio/devices`,
  );
  expect(text).toEqual(['acme_dma.sf.0', 'File exists', '7', '8']);
});
