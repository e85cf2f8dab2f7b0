/** mdevctl, unmodified, and a C client with what it makes. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, output, realState, root } from './host.js';

const uuid = '0b3bd1c4-1c59-4b5c-8b8e-1f0c5f3d0a01';
const other = uuid.replace(/1$/, '2');
const parent = '0000:00:05.0';
const clients = mkdtempSync(join(tmpdir(), 'vfiofs-mdev-'));
const before = realState();
const definitions = () => readdirSync('/etc/mdevctl.d', { recursive: true });
const defined = definitions();

beforeAll(() => {
  build();
  const made = spawnSync('make', [
    '-s',
    '-C',
    join(root, 'test/clients'),
    `OUT=${clients}`,
    join(clients, 'serial'),
  ]);
  expect([made.status, String(made.stderr)]).toEqual([0, '']);
}, 300_000);
afterAll(() => {
  rmSync(clients, { recursive: true });
  expect(realState()).toBe(before);
  expect(definitions()).toEqual(defined);
});

/** mdevctl keeps definitions in /etc: it gets one of its own, in the mounts that only it sees. Empty lines of its lists do not count. */
const own = `mount -t tmpfs tmpfs /etc/mdevctl.d; mkdir -p /etc/mdevctl.d/scripts.d/{callouts,notifiers}
  mdevctl() { command mdevctl "$@" | { grep . || true; }; return $\{PIPESTATUS[0]}; }`;

const run = (script: string) => output(`${own}\n${script}`, 'examples/mdev.yaml');

test('types', async () => {
  expect(await run('mdevctl types')).toBe(
    [
      parent,
      ...[
        '  mtty-1',
        '    Available instances: 24',
        '    Device API: vfio-pci',
        '    Name: Single port serial',
      ],
      '    Description: one 16550 that hears what it sends',
      ...[
        '  mtty-2',
        '    Available instances: 12',
        '    Device API: vfio-pci',
        '    Name: Dual port serial',
      ],
      ...['    Description: two of them', ''],
    ].join('\n'),
  );
});

test('start, list, stop', async () => {
  const text = await run(`mdevctl start -u ${uuid} -p ${parent} --type mtty-2; mdevctl list
    cat /sys/class/mdev_bus/*/mdev_supported_types/*/available_instances
    ! mdevctl start -u ${uuid} -p ${parent} --type mtty-1 2>/dev/null
    mdevctl stop -u ${uuid}; mdevctl list; ls /sys/bus/mdev/devices`);
  expect(text).toBe(`${uuid} ${parent} mtty-2 manual\n22\n11\n`);
});

test('define, autostart, start what is defined, undefine', async () => {
  const text = await run(`mdevctl define -u ${uuid} -p ${parent} --type mtty-1 -a; mdevctl list -d
    mdevctl define -u ${other} -p ${parent} --type mtty-1; mdevctl start -u ${other}; mdevctl list
    mdevctl start-parent-mdevs ${parent}; mdevctl list | sort
    mdevctl stop -u ${uuid}; mdevctl undefine -u ${uuid}; mdevctl list -d`);
  expect(text.split('\n')).toEqual([
    `${uuid} ${parent} mtty-1 auto`,
    `${other} ${parent} mtty-1 manual (defined)`,
    ...[`${uuid} ${parent} mtty-1 auto (defined)`, `${other} ${parent} mtty-1 manual (defined)`],
    `${other} ${parent} mtty-1 manual (active)`,
    '',
  ]);
});

test.each(['group intx', 'group msi', 'cdev intx', 'cdev msi'])(
  'a client hears what it sends: %s',
  async (way) => {
    const text = await run(`mdevctl start -u ${uuid} -p ${parent} --type mtty-1
    ${clients}/serial ${uuid} ${way} 'hello' < /dev/null`);
    expect(text).toBe('4348:3253 with 8 ports\nheard: hello\n');
  },
);

test('remove asks the user to let go, and waits', async () => {
  const text = await run(`mdevctl start -u ${uuid} -p ${parent} --type mtty-1
    exec 8< <(sleep 60); serial=$!; exec 7< <(exec ${clients}/serial ${uuid} group intx x <&8)
    read ids <&7; read heard <&7; echo "$heard"
    echo 1 > /sys/bus/mdev/devices/${uuid}/remove; cat <&7; ls /sys/bus/mdev/devices; kill $serial`);
  expect(text).toBe('heard: x\nasked to let go\n');
});
