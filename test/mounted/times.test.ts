/** What touch, chmod and chown leave on files: as long as the object is there, and no longer (struct kernfs_iattrs). */
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
