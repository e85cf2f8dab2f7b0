/** Clients that somebody else traces: descriptors that ioctls return need no ptrace under `run`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../cli/needs.js';
import { build, vfiofs } from '../cli/program.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-traced-'));

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

const gdb = ['gdb', '-nx', '-batch', '-return-child-result', '-ex', 'run', '--args'];
const strace = ['strace', '-f', '-qq', '-o', join(files, 'calls'), '-e', 'trace=ioctl'];
const traced = (tracer: readonly string[], ...command: string[]) =>
  vfiofs(['run', '--', ...tracer, ...command], {
    env: { RUNTIME_DIRECTORY: files, DPDK_TEST: 'dmadev_autotest' },
  });

describe.each([
  ['gdb', gdb],
  ['strace -f', strace],
])('under %s', (_, tracer) => {
  test('a device from a group', async () => {
    const { code, out, err } = await traced(tracer, client('ioat-group'), '--size', '1');
    expect(code, out + err).toBe(0);
    expect(out).toMatch(/^ok {2}verify/m);
  });

  test('DPDK', { timeout: 120_000 }, async () => {
    const dpdk = ['dpdk-test', '--no-huge', '-m', '128', '--vfio-intr=msix', '-a', '0000:00:04.0'];
    const { code, out, err } = await traced(tracer, ...dpdk);
    expect(code, out + err).toBe(0);
    expect(out).toContain('Test OK');
  });
});

test.each([
  ['nobody', []],
  ['strace', strace],
])('a descriptor inside a struct, traced by %s', async (_, tracer) => {
  // IOMMU_FAULT_QUEUE_ALLOC: { size, flags, out_fault_id, out_fault_fd }
  const { code, out, err } = await traced(
    tracer,
    'python3',
    '-c',
    `
import errno, fcntl, os, resource, select, struct
iommu = os.open('/dev/iommu', os.O_RDWR)
def allocate():
    queue = bytearray(struct.pack('IIII', 16, 0, 0, 0xffffffff))
    fcntl.ioctl(iommu, 0x3b8e, queue)
    return struct.unpack('IIII', queue)[3]
fd = allocate()
print(fd > iommu, fcntl.fcntl(fd, fcntl.F_GETFD), select.select([fd], [], [], 0)[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, fd + 1))
try: allocate()
except OSError as error: print(errno.errorcode[error.errno])
os.close(fd)
print(allocate() == fd)
`,
  );
  expect({ code, out, err }).toEqual({ code: 0, out: 'True 1 []\nEMFILE\nTrue\n', err: '' });
});
