/** SR-IOV as a user sees it, through a real mount: VFs by echo, the capability by lspci, links by the shell. Needs root and /dev/fuse. */
import { beforeAll, expect, test } from 'vitest';
import { needs } from './needs.js';
import { build, vfiofs } from './program.js';

beforeAll(build);

const bash = (...lines: string[]) =>
  vfiofs(['run', 'sriov', '--', 'bash', '-c', ['cd /sys/bus/pci/devices', ...lines].join('\n')]);

test('echo into sriov_numvfs makes VFs with links, groups and drivers, and removes them', async () => {
  const { out, err, code } = await bash(
    'echo 2 > 0000:01:00.0/sriov_numvfs && cat 0000:01:00.0/sriov_numvfs',
    'for vf in 0000:01:00.0/virtfn*; do readlink $vf $vf/physfn $vf/driver; done',
    'test 0000:01:10.0/iommu_group/devices/* -ef 0000:01:10.0 && echo alone',
    'find /sys/bus/pci /sys/devices/pci* /sys/kernel/iommu_groups -xtype l',
    'echo 0 > 0000:01:00.0/sriov_numvfs; ls -d 0000:01:*',
  );
  expect([err, code]).toEqual(['', 0]);
  expect(out.split('\n')).toEqual([
    '2',
    ...['../0000:01:10.0', '../0000:01:00.0', '../../../../bus/pci/drivers/igbvf'],
    ...['../0000:01:10.2', '../0000:01:00.0', '../../../../bus/pci/drivers/igbvf'],
    'alone',
    '0000:01:00.0',
    '0000:01:00.1',
    '',
  ]);
});

test("refusals reach the shell as the kernel's", async () => {
  const { err } = await bash(
    'echo 8 > 0000:01:00.0/sriov_numvfs',
    'echo two > 0000:01:00.0/sriov_numvfs',
    'echo 1 > 0000:04:00.0/sriov_numvfs',
    'echo 0000:01:00.1 > 0000:01:00.1/driver/unbind; echo 1 > 0000:01:00.1/sriov_numvfs',
  );
  expect(
    err
      .trim()
      .split('\n')
      .map((line) => line.split(': ').at(-1)),
  ).toEqual([
    'Numerical result out of range',
    'Invalid argument',
    'Device or resource busy',
    'No such file or directory',
  ]);
});

test('lspci -vvv decodes the capability, and finds nothing to complain about', async () => {
  needs('lspci');
  const { out, err } = await bash(
    'echo 3 > 0000:01:00.0/sriov_numvfs',
    'lspci -vvv -s 01:00.0; echo ----; lspci -vvv -s 01:10.2',
  );
  expect(err.split('\n').filter((line) => line !== '' && !line.includes('libkmod'))).toEqual([]);
  const [pf, vf] = out.split('----\n') as [string, string];
  expect(pf.replaceAll('\t', '')).toContain(
    [
      'Alternative Routing-ID Interpretation (ARI)',
      'ARICap:MFVC- ACS-, Next Function: 1',
      'ARICtl:MFVC- ACS-, Function Group: 0',
      'Capabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)',
    ].join('\n'),
  );
  const shown = pf.replaceAll('\t', '').split('\n');
  expect(shown).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^IOVCtl:Enable\+ Migration- Interrupt- MSE\+ ARIHierarchy\+/),
      expect.stringMatching(/^Initial VFs: 8, Total VFs: 8, Number of VFs: 3, Function Dependency Link: 00/),
      'VF offset: 128, stride: 2, Device ID: 10ca',
      'Supported Page Size: 00000553, System Page Size: 00000001',
      'Region 0: Memory at 00000000c0804000 (64-bit, non-prefetchable)',
      'Region 3: Memory at 00000000c0824000 (64-bit, non-prefetchable)',
    ]),
  );
  expect(vf).toContain('Ethernet controller: Intel Corporation 82576 Virtual Function (rev 01)');
  expect(vf).toContain('Region 0: Memory at c0808000 (64-bit, non-prefetchable) [virtual] [size=16K]');
  expect(vf).toContain('Kernel driver in use: igbvf');
});
