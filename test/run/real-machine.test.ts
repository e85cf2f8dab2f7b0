/** What a program finds out about the machine it runs on, other than its PCI devices, is what it finds without us. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { hostMountsOf } from '../../src/projections/index.js';
import { build, vfiofs } from '../cli/program.js';

beforeAll(build);

async function same(script: string): Promise<string> {
  const direct = execFileSync('sh', ['-c', script], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { code, out } = await vfiofs(['run', '--', 'sh', '-c', script]);
  // What can't be read is not compared by who complains.
  expect({ code, out }).toEqual({ code: 0, out: direct });
  return direct;
}

test('systemd-detect-virt: virtual machine, container, chroot, user namespace', async () => {
  const out = await same(
    'for what in --vm --container --chroot --private-users; do systemd-detect-virt $what; echo "$what $?"; done',
  );
  expect(out).toMatch(/^--vm [01]$/m);
});

test('what such readers read', async () => {
  await same(`
    for file in /sys/class/dmi/id/* /sys/firmware/dmi/tables/* /sys/hypervisor/* /sys/hypervisor/properties/*; do
      [ -f $file ] && echo $file && cat $file 2>/dev/null
    done
    for place in /sys/class/dmi /sys/firmware/dmi /sys/firmware/efi /sys/hypervisor /proc/xen /proc/vz /proc/device-tree; do
      [ -e $place ]; echo $place $?
    done
    grep -v flags /proc/cpuinfo | grep -v MHz; cat /proc/sys/kernel/osrelease /proc/1/comm; ls -ld /proc/1/root | cut -c1-10
    tr '\\0' '\\n' </proc/1/environ | sort; cat /run/systemd/container 2>/dev/null; :`);
});

describe('directories that say something by being there', () => {
  test('are offered where the real machine has them', () => {
    expect(hostMountsOf(() => true)).toEqual(
      expect.arrayContaining([
        '/sys/class/dmi',
        '/sys/devices/virtual/dmi',
        '/sys/firmware/efi',
        '/sys/hypervisor',
      ]),
    );
    expect(hostMountsOf(() => false)).not.toContain('/sys/firmware/efi');
    expect(hostMountsOf(existsSync).includes('/sys/class/dmi')).toBe(existsSync('/sys/class/dmi'));
  });
});
