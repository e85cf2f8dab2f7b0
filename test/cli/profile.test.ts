/** `vfiofs profile` on a mounted host that keeps what is selected: needs root and /dev/fuse. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, mountPoint, type Running, start, vfiofs } from './program.js';

const VF = '0000:02:00.1';
let place: ReturnType<typeof mountPoint>;
let daemon: Running;
let kept: string;

async function mount(): Promise<void> {
  daemon = start(['mount', 'examples/variants.yaml', '--at', place.path, '--profiles', kept]);
  await daemon.prints('ready');
  // As driverctl does.
  const pci = join(place.path, 'sys/bus/pci');
  writeFileSync(join(pci, `devices/${VF}/driver/unbind`), VF);
  writeFileSync(join(pci, `devices/${VF}/driver_override`), 'virtio_vfio_pci');
  writeFileSync(join(pci, 'drivers_probe'), VF);
}
async function end(): Promise<void> {
  daemon.kill('SIGTERM');
  await daemon.ended;
}
const profile = (...args: string[]) => vfiofs(['profile', ...args, '--at', place.path]);

beforeAll(async () => {
  await build();
  place = mountPoint();
  kept = `${place.path}-kept.yaml`;
  await mount();
});
afterAll(async () => {
  await end();
  place.remove();
  for (const file of [kept, `${kept}.wrong`]) rmSync(file, { force: true });
});

test('list and show, for people and for programs', async () => {
  const [head, row] = (await profile('list')).out.split('\n');
  expect(head!.split(/ +/)).toEqual(['DEVICE', 'VFIO', 'DRIVER', 'PROFILE', 'AVAILABLE']);
  expect(row).toMatch(
    /^0000:02:00.1 +vfio\d +virtio_vfio_pci +transitional +native native-no-migration transitional /,
  );
  expect((await profile('show', '02:00.1')).out).toMatch(
    /^0000:02:00.1 · vfio\d · virtio_vfio_pci\n {2}native +the VF as it is\n.*\n\* transitional +with legacy ids/,
  );
  expect(JSON.parse((await profile('list', '--json')).out)).toEqual([
    JSON.parse((await profile('show', VF, '--json')).out),
  ]);
});

test('what is selected is there after a restart, and in a file that can be compared', async () => {
  expect(await profile('set', VF, 'native')).toMatchObject({
    code: 0,
    out: `${VF}: native (was transitional)\n`,
    err: '',
  });
  expect(readFileSync(kept, 'utf8')).toContain(`\n"${VF}": native\n`);
  await end();
  await mount();
  expect(JSON.parse((await profile('show', VF, '--json')).out)).toMatchObject({
    current: 'native',
    chosen: 'native',
  });
  expect(await profile('set', VF, 'native')).toMatchObject({ out: `${VF}: native (as before)\n` });
});

test('refusals name the device, the profile, and what there is', async () => {
  const told = async (...args: string[]) => {
    const { code, out, err } = await profile(...args);
    expect([code, out]).toEqual([1, '']);
    return err;
  };
  expect(await told('set', VF, 'nativ')).toMatch(
    /EINVAL: 0000:02:00.1 has no profile "nativ" \(did you mean "native"\?\); there are: native, /,
  );
  expect(await told('show', '0000:0f:00.0')).toContain('there is no function 0000:0f:00.0');
  expect(await told('show', '0000:02:00.2')).toContain('no vfio driver has 0000:02:00.2');
  expect((await vfiofs(['profile', 'set', VF])).code).toBe(2);
});

test('a file that does not fit the topology, or lies below the mount, is refused before anything is mounted', async () => {
  const wrong = `${kept}.wrong`;
  writeFileSync(wrong, '# mine\n0000:02:00.9: native\n');
  const other = mountPoint();
  const refused = await vfiofs(['mount', 'examples/variants.yaml', '--at', other.path, '--profiles', wrong]);
  expect(refused).toMatchObject({
    code: 2,
    err: expect.stringContaining(`${wrong}:2:1: there is no device "0000:02:00.9"`),
  });
  const below = await vfiofs(['mount', '--at', other.path, '--profiles', `${other.path}/kept.yaml`]);
  expect(below).toMatchObject({ code: 1, err: expect.stringContaining('lies below the mount') });
  const joined = await vfiofs(['run', '--host', place.path, '--profiles', kept, '--', 'true']);
  expect(joined).toMatchObject({ code: 125, err: expect.stringContaining('exclude each other') });
  const own = await vfiofs(['run', 'examples/variants.yaml', '--profiles', wrong, '--', 'true']);
  expect(own.err).toContain(`${wrong}:2:1:`);
  other.remove();
});
