/** setpci: registers by name, by capability and by offset, under `run` and through a plain mount. */
import { beforeAll, expect, test } from 'vitest';
import { build, mounted, output, program, sh } from './host.js';

beforeAll(build);
const lines = async (script: string) => (await output(script)).trimEnd().split('\n');

test('reads by name, and several at once', async () => {
  expect(await lines('setpci -s 01:00.0 VENDOR_ID DEVICE_ID COMMAND BASE_ADDRESS_0 BASE_ADDRESS_2')).toEqual([
    ...['8086', '10d3', '0407', 'c0000000', '00001001'],
  ]);
});

test('a write with a mask changes the bits of the mask; ids can not be written', async () => {
  const script = `setpci -s 01:00.0 COMMAND=0:4; setpci -s 01:00.0 COMMAND; lspci -v -s 01:00.0 | grep Flags
    setpci -s 01:00.0 VENDOR_ID=1234; setpci -s 01:00.0 VENDOR_ID`;
  expect(await lines(script)).toEqual([
    '0403',
    '\tFlags: fast devsel, IRQ 16, NUMA node 0, IOMMU group 6',
    '8086',
  ]);
});

test('sizing a BAR: all ones read back as size and type, and the address can be put back', async () => {
  const dance = (register: string) =>
    `old=$(setpci -s 01:00.0 ${register}); setpci -s 01:00.0 ${register}=ffffffff; setpci -s 01:00.0 ${register}
     setpci -s 01:00.0 ${register}=$old; setpci -s 01:00.0 ${register}`;
  const registers = ['BASE_ADDRESS_0', 'BASE_ADDRESS_1', 'BASE_ADDRESS_2', 'BASE_ADDRESS_4', 'ROM_ADDRESS'];
  expect(await lines(registers.map(dance).join('\n'))).toEqual([
    ...['fffe0000', 'c0000000'],
    ...['fff80000', 'c0080000'],
    ...['ffffffe1', '00001001'],
    ...['00000000', '00000000'],
    ...['fffc0001', 'c0140000'],
  ]);
});

test('a 64-bit BAR is sized in both halves', async () => {
  const script = `setpci -s 02:00.0 BASE_ADDRESS_0=ffffffff BASE_ADDRESS_1=ffffffff
    setpci -s 02:00.0 BASE_ADDRESS_0 BASE_ADDRESS_1`;
  expect(await lines(script)).toEqual(['ffffc004', 'ffffffff']);
});

test('capabilities by name, standard and extended; one that is missing is an error', async () => {
  const script =
    'setpci -s 01:00.0 CAP_PM+2.w CAP_EXP+2.w CAP_MSIX+2.w ECAP_AER+0.l ECAP_DSN+4.l ECAP_DSN+8.l';
  expect(await lines(script)).toEqual(['c822', '0001', '8004', '14010001', 'ff3a5c7e', '001b21ff']);
  const missing = await sh('setpci -s 01:00.0 CAP_VPD+2.w');
  expect(missing.code).toBe(1);
  expect(missing.err).toContain('Capability 0003 not found');
});

test('devices by id: all of them are written', async () => {
  expect(await lines('setpci -d 8086:2021 CACHE_LINE_SIZE=40; setpci -d 8086:2021 CACHE_LINE_SIZE')).toEqual([
    ...['40', '40'],
  ]);
});

test('a power state written to PMCSR is what sysfs shows', async () => {
  const script = `setpci -s 02:00.0 CAP_PM+4.w=3:3; cat /sys/bus/pci/devices/0000:02:00.0/power_state
    setpci -s 02:00.0 CAP_PM+4.w=0:3; cat /sys/bus/pci/devices/0000:02:00.0/power_state`;
  expect(await lines(script)).toEqual(['D3hot', 'D0']);
});

test('the same through a plain mount', async () => {
  const texts = await mounted('default', async (directory) => {
    const setpci = (...args: string[]) =>
      program('setpci', ['-O', `sysfs.path=${directory}/sys/bus/pci`, '-s', '01:00.0', ...args]);
    return [await setpci('COMMAND'), await setpci('COMMAND=0:2'), await setpci('COMMAND', 'ECAP_DSN+4.l')];
  });
  expect(texts).toEqual(['0407\n', '', '0405\nff3a5c7e\n']);
});
