/** What touch, chmod, chown and truncation leave on files: as long as the object is there, and no longer (struct kernfs_iattrs). */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type MountedMachine, mountMachine } from '../clients-dpdk/mounted-machine.js';

const run = promisify(execFile);
let mounted: MountedMachine;
beforeEach(async () => {
  mounted = await mountMachine({ functions: [fakeFunction('0000:00:04.0', { driver: 'vfio-pci' })] });
});
afterEach(() => mounted.stop());

/** Not with `cwd`: this thread waits for a child's chdir(), and serves it. */
const shell = async (script: string) =>
  (await run('bash', ['-ec', `cd ${mounted.directory}; ${script}`])).stdout.trimEnd().split('\n');
const device = 'sys/devices/pci0000:00/0000:00:04.0';

it.each([
  ['a file', `${device}/vendor`],
  ['a directory', `${device}/power`],
  ['a node', 'dev/vfio/0'],
])('%s keeps the times that it was given, to the nanosecond', async (_, path) => {
  const times = await shell(`touch -a -d @-5.25 ${path}; touch -m -d @1234567890.123456789 ${path}
    stat -c '%.9X %.9Y' ${path}; touch ${path}; stat -c '%Y %Z' ${path}; date +%s`);
  expect(times[0]).toBe('-5.250000000 1234567890.123456789');
  const [modified, changed] = times[1]!.split(' ').map(Number);
  expect(Math.abs(modified! - Number(times[2]))).toBeLessThan(10);
  expect(Math.abs(changed! - Number(times[2]))).toBeLessThan(10);
});

it('chmod and chown change the time of change, and neither of the others after the first', async () => {
  const file = `${device}/vendor`;
  const times = await shell(`touch -d @1000 ${file}; chmod 400 ${file}; chown 1 ${file}
    stat -c '%X %Y %a %u' ${file}; stat -c %Z ${file}; date +%s`);
  expect(times[0]).toBe('1000 1000 400 1');
  expect(Math.abs(Number(times[1]) - Number(times[2]))).toBeLessThan(10);
});

it('a function that is found again has times of its own, and its neighbours never had others', async () => {
  const times = await shell(`before=$(stat -c '%X %Y %Z' ${device}/device); touch -d @1000 ${device}/vendor
    [ "$(stat -c '%X %Y %Z' ${device}/device)" = "$before" ]
    echo 1 > ${device}/remove; echo 1 > sys/bus/pci/rescan
    [ "$(stat -c '%X %Y %Z' ${device}/vendor)" = "$before" ]; echo the same`);
  expect(times).toEqual(['the same']);
});

/** `body` with `path`, and `times()`: which of atime, mtime and ctime are not 1000 s after the epoch, by their first letter. */
const python = (path: string, body: string) =>
  shell(`python3 - ${path} <<'END'
import os, sys, time
path = sys.argv[1]
def times():
  s = os.stat(path)
  return "".join(name for name, at in zip("amc", (s.st_atime, s.st_mtime, s.st_ctime)) if at != 1000)
def reset():
  os.utime(path, (1000, 1000)); changed = os.stat(path).st_ctime; time.sleep(0.01); return changed
def errno(call, *arguments):
  try: call(*arguments)
  except OSError as error: return os.strerror(error.errno)
${body}
END`);

it.each([
  ['that a driver is named in', `${device}/driver_override`],
  ['of registers', `${device}/config`],
])('an open with O_TRUNC sets the times of a file %s, a write without does not', async (_, path) => {
  const before = `before = os.stat(path); changed = reset()
file = os.open(path, os.O_WRONLY); os.write(file, b"\\n"); os.close(file)
print(times(), os.stat(path).st_ctime == changed)`;
  const opened = (flags: string) => `os.close(os.open(path, ${flags} | os.O_TRUNC)); after = os.stat(path)
print(times(), after.st_mtime == after.st_ctime > changed, after.st_size == before.st_size)
changed = reset()`;
  expect(await python(path, [before, opened('os.O_WRONLY'), opened('os.O_RDONLY')].join('\n'))).toEqual([
    'c True',
    'mc True True',
    'mc True True',
  ]);
});

it('ftruncate sets them, too; truncate by path only where nobody has set any before', async () => {
  const times = await python(
    `${device}/driver_override`,
    `born = os.stat(path); time.sleep(0.01); os.truncate(path, 5); first = os.stat(path)
print(first.st_mtime == first.st_atime == first.st_ctime > born.st_ctime, first.st_size)
changed = reset()
os.truncate(path, 0); print(times(), os.stat(path).st_ctime == changed)
os.ftruncate(os.open(path, os.O_WRONLY), 0); print(times(), os.stat(path).st_ctime > changed)`,
  );
  expect(times).toEqual(['True 4096', 'c True', 'mc True']);
});

it('an open that is refused leaves them, and so does O_TRUNC of a device', async () => {
  const times = await python(
    `${device}/vendor`,
    `changed = reset()
print(errno(os.open, path, os.O_WRONLY | os.O_TRUNC), times(), os.stat(path).st_ctime == changed)
path = "dev/vfio/vfio"; changed = reset()
file = os.open(path, os.O_RDWR | os.O_TRUNC)
print(errno(os.truncate, path, 0), "and", errno(os.ftruncate, file, 0))
print(times(), os.stat(path).st_ctime == changed)`,
  );
  expect(times).toEqual(['Permission denied c True', 'Invalid argument and Invalid argument', 'c True']);
});

it('a file that is answered without asking shows the times of an O_TRUNC, and is answered so again', async () => {
  const times = await python(
    `${device}/vendor`,
    `read = lambda: open(path).read().strip()
changed = reset()
print(read(), read(), times())
os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)); print(times(), os.stat(path).st_ctime > changed, read(), read())`,
  );
  expect(times).toEqual(['0x1234 0x1234 c', 'mc True 0x1234 0x1234']);
});
