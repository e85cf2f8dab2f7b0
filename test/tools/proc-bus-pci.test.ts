/** lspci and setpci by /proc/bus/pci, as they work where there is no sysfs: through a plain mount, and under `run` where /proc has it. */
import { existsSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { build, mounted, output, program } from './host.js';

beforeAll(build);

test.each(['default', 'sriov', 'multifunction-group'])(
  'lspci prints of %s by procfs what it prints by sysfs',
  async (preset) => {
    await mounted(preset, async (directory) => {
      const ways = ['linux-proc', 'linux-sysfs'].map((method) =>
        program('lspci', [
          ...['-A', method, '-O', `proc.path=${directory}/proc/bus/pci`],
          ...['-O', `sysfs.path=${directory}/sys/bus/pci`, '-nn', '-xxxx'],
        ]),
      );
      const [proc, sysfs] = await Promise.all(ways);
      expect(proc).toBe(sysfs);
      expect(proc).toMatch(/^00:/);
    });
  },
);

test('setpci writes by procfs what it reads by sysfs, and the other way', async () => {
  await mounted('default', async (directory) => {
    const setpci = async (method: string, ...args: string[]) =>
      (
        await program('setpci', [
          ...['-A', method, '-O', `proc.path=${directory}/proc/bus/pci`],
          ...['-O', `sysfs.path=${directory}/sys/bus/pci`, '-s', '01:00.0', ...args],
        ])
      ).trim();
    for (const [writer, reader] of [
      ['linux-proc', 'linux-sysfs'],
      ['linux-sysfs', 'linux-proc'],
    ] as const) {
      await setpci(writer, 'COMMAND=0:7', 'CACHE_LINE_SIZE=20', 'INTERRUPT_LINE=7');
      expect(await setpci(reader, 'COMMAND.b', 'CACHE_LINE_SIZE', 'INTERRUPT_LINE')).toBe('00\n20\n07');
      await setpci(writer, 'COMMAND=6:7', 'CACHE_LINE_SIZE=10');
      expect(await setpci(reader, 'COMMAND.b', 'CACHE_LINE_SIZE', 'ECAP_DSN+4.l')).toBe(
        `06\n10\n${await setpci(writer, 'ECAP_DSN+4.l')}`,
      );
    }
  });
});

test('functions and buses come and go there; files that are kept open refuse', async () => {
  await mounted('sriov', async (directory) => {
    const script = `cd ${directory}/proc/bus/pci; devices=${directory}/sys/bus/pci/devices
      ls; ls 01 | wc -l; echo 2 > $devices/0000:01:00.0/sriov_numvfs; ls 01; grep -c . devices
      exec 5<01/00.1; echo 1 > $devices/0000:01:00.1/remove; ls 01; cat <&5 2>&1 || true
      echo 1 > $devices/../rescan; ls 01; echo 1 > $devices/0000:00:1c.0/remove; ls -d 01 2>&1 || true
      stat -c '%a %s' . devices 00/1d.0; head -c 64 devices | tr '\\t' '|' | cut -c1-16`;
    expect((await program('bash', ['-c', script])).split('\n')).toEqual([
      ...['00', '01', '04', 'devices', '2'],
      ...['00.0', '00.1', '10.0', '10.2', '9'],
      ...['00.0', '10.0', '10.2', 'cat: -: Input/output error'],
      ...['00.0', '00.1', '10.0', '10.2', "ls: cannot access '01': No such file or directory"],
      ...['555 0', '444 0', '644 4096', '00e8|8086a198|19', ''],
    ]);
  });
});

test('a user reads the first 64 bytes, root all; seeking and odd places work', async () => {
  await mounted('default', async (directory) => {
    const script = `import os
path = '${directory}/proc/bus/pci/01/00.0'
file = os.open(path, os.O_RDWR)
whole = os.pread(file, 5000, 0)
print(len(whole), os.lseek(file, 0, os.SEEK_END), os.pread(file, 7, 1) == whole[1:8], os.pread(file, 4, 4096))
print(os.pwrite(file, b'xx', 4096), os.lseek(file, 0x100, os.SEEK_SET), os.read(file, 4) == whole[0x100:0x104])
import fcntl, errno
room = bytearray(8192)
print(fcntl.ioctl(file, 0x50434900, room, True))
for command in 0x50434901, 0x50434905:
  try: fcntl.ioctl(file, command, room, True); print('done')
  except OSError as error: print(errno.errorcode[error.errno])
import mmap
try: mmap.mmap(file, 4096); print('mapped')
except OSError as error: print(errno.errorcode[error.errno])
os.setuid(65534)
file = os.open(path, os.O_RDONLY)
print(os.pread(file, 5000, 0) == whole[:64], os.pread(file, 4, 64))
try: os.open(path, os.O_RDWR)
except OSError as error: print(errno.errorcode[error.errno])`;
    expect((await program('python3', ['-c', script])).split('\n')).toEqual([
      "4096 4096 True b''",
      '0 256 True',
      '0',
      ...['EINVAL', 'EINVAL'],
      'ENODEV',
      "True b''",
      'EACCES',
      '',
    ]);
  });
});

test.skipIf(!existsSync('/proc/bus/pci'))('under `run` it lies over the real one, and is live', async () => {
  expect(await output('lspci -A linux-proc -nn -xxx')).toBe(await output('lspci -A linux-sysfs -nn -xxx'));
  const script = `ls /proc/bus/pci; setpci -A linux-proc -s 01:00.0 CACHE_LINE_SIZE=20
    setpci -s 01:00.0 CACHE_LINE_SIZE; echo 1 > /sys/bus/pci/devices/0000:01:00.0/remove; ls /proc/bus/pci/01
    lspci -A linux-proc | wc -l; lspci | wc -l; ls /proc/bus | grep -c input || true`;
  const [buses, rest] = (await output(script)).split('devices\n');
  expect(buses!.split('\n')).toEqual(['00', '01', '02', '']);
  const [size, proc, sysfs] = rest!.split('\n');
  expect([size, proc]).toEqual(['20', sysfs]);
});
