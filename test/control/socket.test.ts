/** The control socket without a mount: what it refuses, what a hostile client gets, what it answers. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Control, ControlClient, type Limits, startControl } from '../../src/control/index.js';
import { createMachine, type Machine } from '../../src/machine.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';

let directory: string;
let path: string;
let machine: Machine;
let control: Control;
const open: { close(): void }[] = [];

const serve = async (limits?: Limits) => {
  control = await startControl(machine, path, limits);
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-control-'));
  path = join(directory, 's');
  machine = createMachine({ functions: [fakeFunction('0000:00:04.0')] }, { pages: 'buffer' });
});
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await control.close();
  machine.destroy();
  rmSync(directory, { recursive: true });
});

async function client(): Promise<ControlClient> {
  const made = await ControlClient.open(path);
  open.push(made);
  return made;
}

/** A connection whose bytes are ours; `lines` are the answers so far. */
async function raw(): Promise<{ socket: Socket; lines: string[]; closed: Promise<void> }> {
  const socket = connect(path);
  open.push({ close: () => socket.destroy() });
  let text = '';
  const lines: string[] = [];
  socket.setEncoding('utf8').on('data', (part) => {
    text += part;
    lines.splice(0, lines.length, ...text.split('\n').slice(0, -1));
  });
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  await new Promise<void>((resolve) => void socket.once('connect', () => resolve()));
  return { socket, lines, closed };
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('was not refused'),
    (error: { object: { code: number; message: string; data?: unknown } }) => error.object,
  );

describe('refusals', () => {
  beforeEach(() => serve());

  test.each([
    ['{', -32700, /not JSON/],
    ['[]', -32600, /no batches/],
    ['7', -32600, /expected an object/],
    ['{"id":1,"method":"counts"}', -32600, /jsonrpc/],
    ['{"jsonrpc":"2.0","id":{},"method":"counts"}', -32600, /id:/],
    ['{"jsonrpc":"2.0","id":1,"method":7}', -32600, /method:/],
    ['{"jsonrpc":"2.0","id":1,"method":"count"}', -32601, /unknown method "count" \(did you mean "counts"/],
    ['{"jsonrpc":"2.0","id":1,"method":"constructor"}', -32601, /unknown method/],
    ['{"jsonrpc":"2.0","id":1,"method":"counts","params":[]}', -32602, /expected named parameters/],
    ['{"jsonrpc":"2.0","id":1,"method":"counts","params":{"a":1}}', -32602, /unknown key "a"/],
    ['{"jsonrpc":"2.0","id":1,"method":"function.remove","params":{}}', -32602, /bdf is missing/],
    ['{"jsonrpc":"2.0","id":1,"method":"function.remove","params":{"bdf":4}}', -32602, /4: expected a BDF/],
  ])('%s', async (line, code, message) => {
    const { socket, lines } = await raw();
    socket.write(`${line}\n`);
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    expect(JSON.parse(lines[0]!)).toMatchObject({
      jsonrpc: '2.0',
      id: line.includes('"id":1') ? 1 : null,
      error: { code, message: expect.stringMatching(message) },
    });
  });

  test.each<[string, object, number, string, RegExp]>([
    ['function.remove', { bdf: '0000:00:05.0' }, 19, 'ENODEV', /there is no function 0000:00:05.0/],
    ['function.add', {}, 22, 'EINVAL', /bdf is missing/],
    [
      'function.add',
      { bdf: '0000:00:05.0', vendr: 1 },
      22,
      'EINVAL',
      /unknown key "vendr" \(did you mean "vendor"/,
    ],
    [
      'function.add',
      { bdf: '0000:00:05.0', model: 'ioat', options: { chanels: 1 } },
      22,
      'EINVAL',
      /options.chanels: unknown key/,
    ],
    [
      'function.add',
      { bdf: '0000:00:04.0', vendor: 1, device: 1, rom_size: 3 },
      22,
      'EINVAL',
      /bdf: .* is taken .*\nrom_size: 3/,
    ],
    ['driver.bind', { bdf: '0000:00:05.0', driver: 'vfio-pci' }, 19, 'ENODEV', /no function/],
    ['driver.bind', { bdf: '0000:00:04.0', driver: 'vfio-pic' }, 2, 'ENOENT', /did you mean "vfio-pci"/],
    ['driver.bind', { bdf: '0000:00:04.0', driver: 'vfio-pci' }, 19, 'ENODEV', /does not match vfio-pci/],
    ['driver.unbind', { bdf: '0000:00:04.0' }, 19, 'ENODEV', /bound to no driver/],
    [
      'parameter.set',
      { module: 'vfio_pci', parameter: 'disable_vga', value: true },
      1,
      'EPERM',
      /can't be written/,
    ],
    ['parameter.set', { module: 'vfio_pci', parameter: 'x', value: true }, 2, 'ENOENT', /no parameter x/],
  ])('%s %j', async (method, params, code, errno, reason) => {
    const before = await (await client()).call('host.describe');
    expect(await errorOf((await client()).call(method, params))).toEqual({
      code,
      message: expect.stringMatching(reason),
      data: { errno, reason: expect.stringMatching(reason) },
    });
    expect(await (await client()).call('host.describe')).toEqual(before);
  });
});

describe('the socket', () => {
  test('is its owner’s, and gone at the end', async () => {
    await serve();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await control.close();
    expect(existsSync(path)).toBe(false);
  });

  test('that somebody serves is left alone; so is what is no socket; a path too long is no socket', async () => {
    await serve();
    await expect(startControl(machine, path)).rejects.toThrow(`EADDRINUSE: somebody serves ${path}`);
    expect(await (await client()).call('counts')).toMatchObject({ functions: 1 });
    const file = join(directory, 'file');
    writeFileSync(file, 'kept');
    await expect(startControl(machine, file)).rejects.toThrow('EEXIST');
    await expect(startControl(machine, join(directory, 'x'.repeat(120)))).rejects.toThrow('ENAMETOOLONG');
  });

  test('that a killed daemon left is replaced', async () => {
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', script])).toThrow();
    expect(existsSync(path)).toBe(true);
    await serve();
    expect(await (await client()).call('counts')).toMatchObject({ functions: 1 });
  });
});

describe('a hostile client', () => {
  test('with an endless line is told and cut off, and holds nothing', async () => {
    await serve({ line: 1000, queue: 1 << 20, waiting: 4 });
    const { socket, lines, closed } = await raw();
    socket.write('x'.repeat(5000));
    await closed;
    expect(JSON.parse(lines[0]!).error.message).toMatch(/more than 1000 bytes/);
    expect(await (await client()).call('counts')).toBeDefined();
  });

  test('that reads no answers is cut off', async () => {
    await serve({ line: 1000, queue: 100_000, waiting: 4 });
    const { socket, closed } = await raw();
    socket.pause();
    const request = '{"jsonrpc":"2.0","id":1,"method":"host.describe"}\n';
    const flood = () => {
      while (!socket.destroyed && socket.write(request.repeat(100)));
    };
    socket.on('drain', flood);
    flood();
    await vi.waitFor(async () => {
      socket.write(request);
      expect(socket.destroyed || socket.errored).toBeTruthy();
    });
    socket.resume();
    await closed;
    expect(await (await client()).call('counts')).toBeDefined();
  });

  test('whose requests all wait is not read any further, and answered in the end', async () => {
    await serve({ line: 1000, queue: 1 << 20, waiting: 2 });
    let finish = (): void => {};
    const waits = new Promise<void>((resolve) => {
      finish = resolve;
    });
    vi.spyOn(machine.host, 'unplug').mockImplementation(() => waits);
    const counted = vi.spyOn(machine, 'counts');
    const { socket, lines } = await raw();
    const remove = (id: number) =>
      `{"jsonrpc":"2.0","id":${id},"method":"function.remove","params":{"bdf":"0000:00:04.0"}}\n`;
    socket.write(`${remove(1)}${remove(2)}{"jsonrpc":"2.0","id":3,"method":"counts"}\n{"jsonrpc":`);
    await vi.waitFor(() => expect(machine.host.unplug).toHaveBeenCalledTimes(2));
    socket.end('"2.0","id":4,"method":"counts"}\n');
    await (await client()).call('host.describe');
    expect(counted).not.toHaveBeenCalled();
    finish();
    await vi.waitFor(() => expect(lines.map((line) => JSON.parse(line).id)).toEqual([1, 2, 3, 4]));
  });

  test('in any number: the 65th at once is turned away', async () => {
    await serve();
    const all = await Promise.all(Array.from({ length: 65 }, raw));
    await Promise.race(all.map(({ closed }) => closed));
    all[0]!.socket.destroy();
    all[1]!.socket.destroy();
    await vi.waitFor(async () => expect(await (await client()).call('counts')).toBeDefined());
  });
});

describe('answers', () => {
  beforeEach(() => serve());

  test('requests in pieces, several in a piece, notifications not at all', async () => {
    const { socket, lines } = await raw();
    socket.write('\n{"jsonrpc":"2.0","method":"counts"}\n{"jsonrpc":"2.0","id":"a","method":"co');
    socket.write('unts"}\n{"jsonrpc":"2.0","id":null,"method":"counts","params":{}}\n');
    await vi.waitFor(() => expect(lines).toHaveLength(2));
    expect(lines.map((line) => JSON.parse(line).id)).toEqual(['a', null]);
  });

  test('a client that has closed its side first', async () => {
    const { socket, lines, closed } = await raw();
    socket.end('{"jsonrpc":"2.0","id":1,"method":"function.remove","params":{"bdf":"0000:00:04.0"}}\n');
    await closed;
    expect(JSON.parse(lines[0]!)).toEqual({ jsonrpc: '2.0', id: 1, result: { removed: '0000:00:04.0' } });
  });

  test('events of whoever changes the host, in order, with what udev would be told', async () => {
    const watcher = await client();
    const seen: Record<string, unknown>[] = [];
    await watcher.events((event) => void seen.push(event.properties));
    const other = await client();
    await other.call('function.add', { bdf: '0000:00:05.0', model: 'ioat', driver: 'vfio-pci' });
    await other.call('driver.unbind', { bdf: '0000:00:05.0' });
    await other.call('driver.override', { bdf: '0000:00:05.0', driver: null });
    await other.call('function.remove', { bdf: '0000:00:05.0', surprise: true });
    await vi.waitFor(() => expect(seen).toHaveLength(8));
    const first = Number(seen[0]!.SEQNUM);
    expect(seen.map((row) => [row.ACTION, row.SUBSYSTEM, row.DRIVER, Number(row.SEQNUM) - first])).toEqual([
      ['add', 'pci', undefined, 0],
      ['add', 'vfio', undefined, 1],
      ['add', 'vfio-dev', undefined, 2],
      ['bind', 'pci', 'vfio-pci', 3],
      ['remove', 'vfio-dev', undefined, 4],
      ['remove', 'vfio', undefined, 5],
      ['unbind', 'pci', undefined, 6],
      ['remove', 'pci', undefined, 7],
    ]);
    expect(seen[3]).toEqual({
      ACTION: 'bind',
      DEVPATH: '/devices/pci0000:00/0000:00:05.0',
      SUBSYSTEM: 'pci',
      DRIVER: 'vfio-pci',
      PCI_CLASS: '88000',
      PCI_ID: '8086:2021',
      PCI_SUBSYS_ID: '8086:0000',
      PCI_SLOT_NAME: '0000:00:05.0',
      MODALIAS: 'pci:v00008086d00002021sv00008086sd00000000bc08sc80i00',
      SEQNUM: String(first + 3),
    });
    expect(seen[2]).toMatchObject({ MAJOR: '251', MINOR: '0', DEVNAME: 'vfio/devices/vfio0' });
    expect(seen[1]).toMatchObject({ DEVPATH: '/devices/virtual/vfio/1', DEVNAME: 'vfio/1' });
    watcher.close();
    await watcher.closed;
  });

  test('an override and a parameter', async () => {
    const one = await client();
    await one.call('driver.override', { bdf: '0000:00:04.0', driver: 'vfio-pci' });
    await one.call('driver.bind', { bdf: '0000:00:04.0', driver: 'vfio-pci' });
    await one.call('parameter.set', { module: 'vfio_iommu_type1', parameter: 'dma_entry_limit', value: 7 });
    expect(await one.call('host.describe')).toMatchObject({
      functions: [{ driver: 'vfio-pci', driver_override: 'vfio-pci' }],
      modules: { vfio_iommu_type1: { dma_entry_limit: 7 } },
    });
  });

  test('the end of the host ends its clients', async () => {
    const one = await client();
    await control.close();
    await one.closed;
    await expect(one.call('counts')).rejects.toThrow('closed the control socket');
    await expect(createServerIsFree()).resolves.toBe(true);
  });
});

/** The name can be bound again. */
function createServerIsFree(): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(path, () => server.close(() => resolve(true)));
  });
}
