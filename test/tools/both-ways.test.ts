/**
 * Which programs can be pointed at a plain mount by their own options, and which need `run`: those that can say the same both ways. (hwloc
 * and DPDK, whose options move a part of what they read, are in inventory.test.ts and test/clients-dpdk.)
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { build, mounted, output, program } from './host.js';

interface Tool {
  readonly name: string;
  /** A script; `$libpci`, `$kmod` and `$modinfo` are where a program's option stands, and the tree is at `$at`. */
  readonly script: string;
  readonly says: string;
}

/** Empty under `run`. */
const options = {
  libpci: '-A linux-sysfs -O sysfs.path=$at/sys/bus/pci',
  kmod: '-d $at -S 7.2.0-vfiofs',
  modinfo: '-b $at -k 7.2.0-vfiofs',
};

const tools: readonly Tool[] = [
  { name: 'lspci', script: 'lspci $libpci -n -d 8086:10d3', says: '01:00.0 0200: 8086:10d3\n' },
  {
    name: 'lspci with the way there',
    script: 'lspci $libpci -n -PP -s 02:00.0',
    says: '00:1d.0/02:00.0 0108: 8086:0a54\n',
  },
  {
    name: 'lspci: IOMMU group and driver',
    script: "lspci $libpci -n -v -s 01:00.0 | grep -oE 'IOMMU group .*|Kernel driver .*'",
    says: 'IOMMU group 6\nKernel driver in use: e1000e\n',
  },
  {
    name: 'setpci reads and writes',
    script: `setpci $libpci -s 01:00.0 COMMAND CAP_MSIX+2.w ECAP_DSN+4.l; setpci $libpci -s 01:00.0 COMMAND=0:4
      setpci $libpci -s 01:00.0 COMMAND; setpci $libpci -s 01:00.0 COMMAND=4:4`,
    says: '0407\n8004\nff3a5c7e\n0403\n',
  },
  {
    name: 'modprobe takes what is built in for loaded',
    script: 'modprobe $kmod -n -v vfio-pci; modprobe $kmod -D ioatdma; modprobe $kmod -R vfio-pci',
    says: 'builtin ioatdma\nvfio_pci\n',
  },
  {
    name: 'modprobe finds the module of a device',
    script: 'modprobe $kmod -R "$(cat $at/sys/bus/pci/devices/0000:02:00.0/modalias)"',
    says: 'nvme\n',
  },
  {
    name: 'modprobe knows no others',
    script: 'modprobe $kmod -q no-such-module || echo none',
    says: 'none\n',
  },
  {
    name: 'modinfo',
    script: 'modinfo $modinfo -F filename vfio-pci; modinfo $modinfo -F alias vfio-pci',
    says: '(builtin)\nvfio_pci:v*d*sv*sd*bc*sc*i*\n',
  },
];

beforeAll(build);

// Where the real host has no modules lspci says so; that is about the host.
const before = 'lspci() { command lspci "$@" 2> >(grep -v "Unable to load libkmod resources" >&2); }';
const settings = (values: Readonly<Record<string, string>>) =>
  Object.entries(values)
    .map(([name, value]) => `${name}="${value}"`)
    .join('; ');

describe('under run', () => {
  const none = settings({ at: '', ...Object.fromEntries(Object.keys(options).map((name) => [name, ''])) });
  test.each(tools)('$name', async ({ script, says }) => {
    expect(await output(`${before}\n${none}\n${script}`)).toBe(says);
  });
});

test('through a plain mount', async () => {
  const answers = await mounted('default', async (directory) => {
    const texts: [string, string][] = [];
    for (const { name, script } of tools)
      texts.push([
        name,
        await program('bash', ['-ec', `${before}\n${settings({ at: directory, ...options })}\n${script}`]),
      ]);
    return texts;
  });
  expect(answers).toEqual(tools.map(({ name, says }) => [name, says]));
});

/** These know one place for /sys, so a plain mount is nothing to them: whoever learns of an option moves them up. */
test.each([
  ['driverctl', 'driverctl --help', /root|sysfs/i],
  ['mdevctl', 'mdevctl --help; mdevctl list --help', /--(root|sysfs)/i],
  ['lshw', 'lshw -help 2>&1 || true', /root dir|-sysfs/i],
  ['virt-host-validate', 'virt-host-validate --help', /root|sysfs/i],
  ['dpdk-devbind.py', 'dpdk-devbind.py --help', /--(root|sysfs)/i],
])('%s has no option for it', async (_, help, option) => {
  expect(await program('bash', ['-c', help])).not.toMatch(option);
});
