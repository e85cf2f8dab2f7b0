/** Hotplug of a mounted host, seen by real programs: needs root and /dev/fuse. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { client } from '../cli/needs.js';
import { root } from '../cli/program.js';
import {
  type Client,
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
  startClient,
} from '../clients-dpdk/mounted-machine.js';

const run = promisify(execFile);
const BDF = '0000:00:09.0';
const ioat = (more: Partial<FunctionDescription> = {}): FunctionDescription => ({
  bdf: BDF,
  model: 'ioat',
  ...more,
});

let mounted: MountedMachine;
beforeEach(async () => {
  mounted = await mountMachine();
});
afterEach(() => mounted.stop());

const host = () => mounted.machine.host;
/** Not with `cwd`: this thread waits for a child's chdir(), and serves it. */
const shell = async (script: string) =>
  (await run('bash', ['-c', `cd ${mounted.directory}; ${script}`])).stdout;
const names = async (path: string) => (await shell(`ls ${path}`)).split('\n').filter(Boolean);
const lspci = async () =>
  (
    await run('lspci', [
      '-A',
      'linux-sysfs',
      '-O',
      `sysfs.path=${mounted.directory}/sys/bus/pci`,
      '-n',
      '-s',
      BDF,
    ])
  ).stdout;

const settled = (promise: Promise<unknown>) => {
  let done = false;
  promise.then(() => {
    done = true;
  });
  return () => done;
};

test('added: seen at once, bound, used for DMA; removed: waits for its user', async () => {
  const cdev = client('ioat-cdev');
  const hold = client('hold');
  // Looked up before, so that whatever could be cached is.
  expect(await names('sys/bus/pci/devices')).not.toContain(BDF);
  await expect(shell(`ls sys/bus/pci/devices/${BDF}`)).rejects.toThrow('No such file');
  expect(await lspci()).toBe('');
  host().add(ioat({ driver: 'none' }));
  expect(await names('sys/bus/pci/devices')).toContain(BDF);
  expect(await lspci()).toMatch(/^00:09.0 0880: 8086:2021/);
  await shell(
    `echo vfio-pci > sys/bus/pci/devices/${BDF}/driver_override; echo ${BDF} > sys/bus/pci/drivers_probe`,
  );
  const copy = await run(cdev, ['--root', mounted.directory, '--bdf', BDF, '--size', '4']);
  expect(copy.stdout).toMatch(/^ok {2}verify 4194304 bytes$/m);

  const user = startClient(hold, ['--root', mounted.directory, '--bdf', BDF, '--stage', 'irq']);
  await user.ready;
  const fn = host().functions.get(BDF as never)!;
  const removed = host().unplug(fn);
  const isRemoved = settled(removed);
  expect(await names('sys/bus/pci/devices')).toContain(BDF);
  expect(await names('dev/vfio/devices')).not.toContain('vfio1');
  expect(isRemoved()).toBe(false);
  user.process.stdin.end();
  await removed;
  expect((await user.ended).code).toBe(0);
  expect(await names('sys/bus/pci/devices')).not.toContain(BDF);
  await shell('echo 1 > sys/bus/pci/rescan');
  expect(await names('sys/bus/pci/devices')).not.toContain(BDF);
});

/** What user.py finds now. */
async function look(user: Client): Promise<Record<string, unknown>> {
  user.process.stdin.write('\n');
  return new Promise((resolve) => {
    user.process.stdout.once('data', (line: Buffer) => resolve(JSON.parse(line.toString())));
  });
}

async function held(): Promise<{ user: Client; fn: PciFunction }> {
  const fn = host().add(ioat({ driver: 'vfio-pci' }));
  const user = startClient('python3', [join(root, 'test/control/user.py'), mounted.directory, BDF]);
  await user.ready;
  expect(await look(user)).toMatchObject({
    err: false,
    req: false,
    config: 'ok',
    info: 'ok',
    attribute: 'ok',
    polled: 1,
    child: 'ok',
  });
  return { user, fn };
}

const gone = {
  config: 'ENODEV',
  write: 'ENODEV',
  info: 'ENODEV',
  reset: 'ENODEV',
  bind: 'ENODEV',
  bar: 0xff,
  reopened: 'ENOENT',
  attribute: 'ENODEV',
  polled: 1 | 2 | 8,
  child: 'ENOENT',
  'opened child': 'ENOENT',
  names: 0,
};

describe('by surprise', () => {
  test('users are told, open files answer ENODEV, who stands inside finds nothing', async () => {
    const { user, fn } = await held();
    await host().unplug(fn, { surprise: true });
    expect(await names('sys/bus/pci/devices')).not.toContain(BDF);
    expect(await names('dev/vfio/devices')).not.toContain('vfio1');
    await vi.waitFor(async () => expect(await look(user)).toMatchObject(gone));
    user.process.stdin.end();
    expect((await user.ended).code).toBe(0);
  });

  test('the interrupts are signalled once each; another function can take the place while the old user is there', async () => {
    const cdev = client('ioat-cdev');
    const { user, fn } = await held();
    await host().unplug(fn, { surprise: true });
    expect(await look(user)).toMatchObject({ err: true, req: true });
    const next = host().add(ioat({ driver: 'vfio-pci' }));
    expect([next.iommuGroup!.id, next.iommuGroup === fn.iommuGroup]).toEqual([8, false]);
    const copy = await run(cdev, ['--root', mounted.directory, '--bdf', BDF, '--size', '4']);
    expect(copy.stdout).toMatch(/^ok {2}verify 4194304 bytes$/m);
    expect(await look(user)).toMatchObject({ ...gone, err: false, req: false, reopened: 'ENOENT' });
    user.process.kill('SIGKILL');
    await user.ended;
    await host().unplug(next);
    expect(await names('dev/vfio')).not.toContain('8');
  });

  test('while an orderly removal waits', async () => {
    const { user, fn } = await held();
    const removed = host().unplug(fn);
    expect(await look(user)).toMatchObject({
      err: false,
      req: true,
      config: 'ok',
      reopened: 'ENOENT',
      bind: 'EINVAL',
      child: 'ok',
    });
    await host().unplug(fn, { surprise: true });
    expect(await look(user)).toMatchObject({ err: true, config: 'ENODEV' });
    user.process.stdin.end();
    await user.ended;
    await removed;
  });

  test('through the group, with DMA mapped', async () => {
    const hold = client('hold');
    const fn = host().add(ioat({ driver: 'vfio-pci' }));
    const user = startClient(hold, ['--group', '--root', mounted.directory, '--bdf', BDF, '--stage', 'irq']);
    await user.ready;
    await host().unplug(fn, { surprise: true });
    expect(await names('dev/vfio')).not.toContain('8');
    user.process.stdin.end();
    await user.ended;
    await vi.waitFor(() =>
      expect(mounted.machine.counts()).toEqual({ containers: 0, groups: 0, deviceFiles: 0, eventfds: 0 }),
    );
  });
});

test('1,000 functions come and go, some in use and some by surprise: nothing is left', {
  timeout: 120_000,
}, async () => {
  const watch = startClient('bash', [
    '-c',
    `echo ready; while read; do ls -R ${mounted.directory}/sys/bus/pci/devices/${BDF}/ ${mounted.directory}/dev/vfio >/dev/null 2>&1; cat ${mounted.directory}/sys/bus/pci/devices/${BDF}/vendor; done`,
  ]);
  await watch.ready;
  let answered = (): void => {};
  watch.process.stdout.on('data', () => answered());
  const round = async (i: number) => {
    // Its BAR's memory exists, and the kernel caches names below it.
    const fn = host().add(ioat({ driver: 'vfio-pci' }));
    fn.bars[0]!.memory![0] = 1;
    const answer = new Promise<void>((resolve) => {
      answered = resolve;
    });
    if (i % 10 === 0) {
      watch.process.stdin.write('\n');
      await answer;
    }
    await host().unplug(fn, { surprise: i % 2 === 1 });
  };
  // In a group that stays, too: its file of pages stays with it.
  const { iommuGroup } = host().functions.get('0000:00:04.0' as never)!;
  const mate = async (i: number) => {
    const fn = host().add({
      bdf: '0000:00:0a.0',
      model: 'ioat',
      driver: 'vfio-pci',
      iommuGroup: iommuGroup!.id,
    });
    fn.bars[0]!.memory![0] = 1;
    await host().unplug(fn, { surprise: i < 3 });
  };
  for (let i = 0; i < 20; i++) await Promise.all([round(i), mate(i)]);
  const before = await idleCounts(mounted);
  const knownBefore = mounted.nodes();
  for (let i = 0; i < 1000; i++) {
    await round(i);
    await mate(9);
  }
  await comesBackTo(mounted, before);
  expect(mounted.nodes() - knownBefore).toBeLessThan(100);
  expect([host().functions.size, host().groups.size, iommuGroup!.functions.size]).toEqual([8, 8, 1]);
  watch.process.stdin.end();
  await watch.ended;
});
