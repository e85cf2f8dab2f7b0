/** Kernel events on netlink sockets under `run`: real listeners, what they hear and what they don't, and listeners that mean no good. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { build, mountPoint, root, start, vfiofs } from '../cli/program.js';

beforeAll(build);

const env = { LC_ALL: 'C.UTF-8' };
const device = '/sys/bus/pci/devices/0000:00:04.0';
const devpath = '/devices/pci0000:00/0000:00:04.0';
const end = 'change 6e7c3ad9-9c0e-4a5e-8f3c-0f2b5c6f4d10 END=1';

/** For bash: `listen` starts udevadm and waits until it listens, `heard` prints what it has printed since. */
const monitor = `
listen() {
  exec 3< <(exec stdbuf -oL udevadm monitor --property --kernel); listener=$!
  until [[ $line = KERNEL* ]]; do read -r -t 10 line <&3 || exit 1; done
}
heard() {
  echo '${end}' > /sys/bus/pci/uevent
  while read -r -t 10 line <&3 && [ "$line" != SYNTH_ARG_END=1 ]; do echo "$line"; done
  kill $listener
}
`;

interface Heard {
  readonly what: string;
  readonly properties: Record<string, string>;
}

/** From what udevadm prints: blocks of a headline and pairs. The last is the one that ends it. */
function parse(text: string): Heard[] {
  const blocks = text.trim().split('\n\n');
  return blocks.slice(0, -1).map((block) => {
    const [headline, ...pairs] = block.split('\n') as [string, ...string[]];
    const [, action, path, subsystem] = /^KERNEL\[[\d.]+\] (\w+) +(\S+) \((.*)\)$/.exec(headline)!;
    return {
      what: `${action} ${path} ${subsystem}`,
      properties: Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s) as [string, string])),
    };
  });
}

async function listening(
  script: string,
  options: readonly string[] = [],
  inside: readonly string[] = [],
): Promise<Heard[]> {
  const command = ['run', ...options, '--', 'bash', '-ec', `${monitor}\nlisten\n${script}\nheard`];
  const { code, out, err } = await vfiofs(command, { env, inside });
  expect({ code, err: err.replace(/^vfiofs: BARs can't be mapped .*\n/, '') }).toEqual({ code: 0, err: '' });
  return parse(out);
}
const whats = (heard: readonly Heard[]) => heard.map(({ what }) => what);

const rebinding = `
echo 0000:00:04.0 > /sys/bus/pci/drivers/vfio-pci/unbind
echo 0000:00:04.0 > /sys/bus/pci/drivers/vfio-pci/bind`;
const rebound = [
  `remove ${devpath}/vfio-dev/vfio0 vfio-dev`,
  'remove /devices/virtual/vfio/1 vfio',
  `unbind ${devpath} pci`,
  'add /devices/virtual/vfio/1 vfio',
  `add ${devpath}/vfio-dev/vfio0 vfio-dev`,
  `bind ${devpath} pci`,
];

describe('udevadm monitor', () => {
  test('hears of drivers and nodes, in the order of the kernel and with its keys', async () => {
    const heard = await listening(rebinding);
    expect(whats(heard)).toEqual(rebound);
    const [, , unbound, group, , bound] = heard.map(({ properties }) => properties);
    expect(group).toMatchObject({ MAJOR: '252', MINOR: '0', DEVNAME: '/dev/vfio/1' });
    expect(bound).toMatchObject({ DRIVER: 'vfio-pci', PCI_SLOT_NAME: '0000:00:04.0', PCI_ID: '8086:2021' });
    expect(bound!.MODALIAS).toMatch(/^pci:v00008086d00002021/);
    expect(unbound).not.toHaveProperty('DRIVER');
    expect(unbound).not.toHaveProperty('MODALIAS');
    const numbers = heard.map(({ properties }) => Number(properties.SEQNUM));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test('hears of virtual functions', async () => {
    const pf = '/sys/bus/pci/devices/0000:01:00.0';
    const port = '/devices/pci0000:00/0000:00:1c.0';
    const heard = await listening(`echo 2 > ${pf}/sriov_numvfs; echo 0 > ${pf}/sriov_numvfs`, ['sriov']);
    const [first, second] = ['0000:01:10.0', '0000:01:10.2'].map((bdf) => `${port}/${bdf} pci`);
    const comes = (vf: string | undefined) => [`add ${vf}`, `change ${vf}`];
    expect(whats(heard).filter((what) => what.endsWith(' pci') && !/ (un)?bind /.test(` ${what}`))).toEqual([
      ...comes(first),
      ...comes(second),
      `change ${port}/0000:01:00.0 pci`,
      `remove ${first}`,
      `remove ${second}`,
    ]);
  });

  test('hears what is written to any uevent file, as the file says it', async () => {
    const files = {
      [`${device}/vfio-dev/vfio0`]: 'vfio-dev',
      '/sys/devices/virtual/vfio/1': 'vfio',
      '/sys/devices/virtual/misc/vfio': 'misc',
      '/sys/devices/pci0000:00/pci_bus/0000:00': 'pci_bus',
      '/sys/bus/pci': 'bus',
      '/sys/bus/pci/drivers/vfio-pci': 'drivers',
      '/sys/module/vfio_pci': 'module',
    };
    const heard = await listening(
      `for file in ${Object.keys(files).join(' ')}; do echo 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A=b' > $file/uevent; done
      echo change > /sys/devices/pci0000:00/uevent`,
    );
    expect(whats(heard)).toEqual(
      Object.entries(files).map(
        ([path, subsystem]) => `change ${path.replace(device, `/sys${devpath}`).slice(4)} ${subsystem}`,
      ),
    );
    for (const { properties } of heard) expect(properties).toMatchObject({ SYNTH_ARG_A: 'b' });
    expect(heard[1]!.properties).toMatchObject({ MAJOR: '252', MINOR: '0', DEVNAME: '/dev/vfio/1' });
  });

  test.each([
    ['a user without root', [], ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']],
    ['a run inside a run', ['--', process.execPath, join(root, 'dist/cli/start.cjs'), 'run'], []],
  ])('%s hears the same', async (_, options, inside) => {
    expect(whats(await listening(rebinding, options, inside))).toEqual(rebound);
  });
});

test('who has joined a host hears what others do to it, and the host keeps nothing of who has gone', async () => {
  const place = mountPoint();
  const daemon = start(['mount', '--at', place.path]);
  const ctl = (method: string, params: object) =>
    execFileSync(process.execPath, [
      ...[join(root, 'dist/cli/start.cjs'), 'ctl', '--at', place.path],
      ...[method, JSON.stringify(params)],
    ]);
  const sockets = () =>
    readdirSync(`/proc/${daemon.pid}/fd`).filter((fd) =>
      readlinkSync(`/proc/${daemon.pid}/fd/${fd}`).startsWith('socket:'),
    ).length;
  try {
    await daemon.prints(place.path);
    const before = sockets();
    const listeners = [0, 1].map(() =>
      start(['run', '--host', place.path, '--', 'stdbuf', '-oL', 'udevadm', 'monitor', '--kernel'], { env }),
    );
    for (const listener of listeners) await listener.prints('KERNEL - the kernel uevent');
    expect(sockets()).toBeGreaterThanOrEqual(before + 2);
    ctl('function.add', { bdf: '0000:00:09.0', model: 'ioat', driver: 'vfio-pci' });
    ctl('function.remove', { bdf: '0000:00:09.0', surprise: true });
    for (const listener of listeners) {
      await listener.prints('remove   /devices/pci0000:00/0000:00:09.0 (pci)');
      listener.kill('SIGKILL');
      const heard = [...(await listener.ended).out.matchAll(/^KERNEL\[.*\] (\w+) .*0000:00:09.0 \(pci\)$/gm)];
      expect(heard.map(([, action]) => action)).toEqual(['add', 'bind', 'unbind', 'remove']);
    }
    await expect.poll(sockets, { timeout: 10_000 }).toBe(before);
  } finally {
    daemon.kill('SIGTERM');
    await daemon.ended;
    place.remove();
  }
});

describe('the real machine', () => {
  const real = '/sys/devices/virtual/mem/null/uevent';
  /** What a listener hears when the real machine has an event. */
  async function hears(options: readonly string[]): Promise<boolean> {
    const script = `${monitor}\nlisten\necho listening\nwhile read -r -t 3 line <&3; do echo "$line"; [[ $line != *mem/null* ]] || break; done; kill $listener`;
    const listener = start(['run', ...options, '--', 'bash', '-ec', script], { env });
    await listener.prints('listening');
    writeFileSync(real, 'change');
    return (await listener.ended).out.includes('change   /devices/virtual/mem/null (mem)');
  }

  test('is heard with --merge-real or without supervision, and else not', async () => {
    expect(await hears([])).toBe(false);
    expect(await hears(['--merge-real'])).toBe(true);
    expect(await hears(['--no-supervise'])).toBe(true);
  });

  test('has all other sockets: the network is its own', async () => {
    const script = 'readlink /proc/self/ns/net; ip -o link | wc -l';
    const theirs = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
    const { out } = await vfiofs([
      'run',
      '--',
      'bash',
      '-ec',
      `${monitor}\nlisten\n${script}; kill $listener`,
    ]);
    expect(out).toBe(theirs);
  });
});

const python = (script: string) => vfiofs(['run', '--', 'python3', '-c', script]);

describe('the socket', () => {
  test('is what was asked for', async () => {
    const { out, err } = await python(`
import errno, os, socket
def make(kind, protocol=15):
    try: return socket.socket(16, kind, protocol)
    except OSError as error: return errno.errorcode[error.errno]
for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK):
    one = make(kind)
    one.bind((0, 1))
    print(one.getsockname() == (os.getpid(), 1), one.getblocking(), one.type == kind & 0xf)
    one.close()
print(make(socket.SOCK_STREAM), make(socket.SOCK_RAW | 0x40))
import ctypes
for flags in (0, socket.SOCK_CLOEXEC):
    print(os.get_inheritable(ctypes.CDLL(None).socket(16, 3 | flags, 15)))
`);
    expect({ out, err }).toEqual({
      out: 'True True True\nTrue False True\nESOCKTNOSUPPORT EINVAL\nTrue\nFalse\n',
      err: '',
    });
  });

  test('is told when the tree is as it says', async () => {
    const { out, err } = await python(`
import os, socket
listener = socket.socket(16, socket.SOCK_RAW, 15)
listener.bind((0, 1))
link = '${device}/driver'
looked, look = os.pipe()
def put(file): open('/sys/bus/pci/drivers/vfio-pci/' + file, 'w').write('0000:00:04.0')
child = os.fork()
if child:
    for _ in range(300):
        os.readlink(link)
        put('unbind')
        os.read(looked, 1)
        put('bind')
    os.waitpid(child, 0)
else:
    stale = 0
    for _ in range(300):
        while not listener.recv(8192).startswith(b'unbind@'): pass
        stale += os.path.lexists(link)
        os.write(look, b'.')
    print(stale, flush=True)
    os._exit(0)
`);
    expect({ out, err }).toEqual({ out: '0\n', err: '' });
  });

  test('that nobody reads is not waited for, and says so; a flood of them is survived', async () => {
    const { out, err } = await python(`
import errno, os, resource, socket
lazy = socket.socket(16, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 15)
lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
lazy.bind((0, 1))
for _ in range(200): open('${device}/uevent', 'w').write('change')
try: lazy.recv(8192)
except OSError as error: print(errno.errorcode[error.errno])
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
many = []
try:
    while True: many.append(socket.socket(16, socket.SOCK_RAW, 15))
except OSError as error: print(errno.errorcode[error.errno], len(many) > 200)
for one in many: one.close()
eager = socket.socket(16, socket.SOCK_RAW, 15)
eager.bind((0, 1))
open('${device}/uevent', 'w').write('change')
print(eager.recv(8192).split(b'\\0')[0].decode())
`);
    expect({ out, err }).toEqual({ out: `ENOBUFS\nEMFILE True\nchange@${devpath}\n`, err: '' });
  });

  test('takes events from those who may, for those who share its host; no other process becomes its voice', async () => {
    const { out, err } = await python(`
import errno, fcntl, os, socket, struct
listener = socket.socket(16, socket.SOCK_RAW, 15)
listener.bind((0, 1))
def say(text):
    sender = socket.socket(16, socket.SOCK_RAW, 15)
    sender.sendto(struct.pack('=IHHII', 16 + len(text), 16, 5, 1, 0) + text, (0, 0))
    return errno.errorcode.get(-struct.unpack_from('=i', sender.recv(4096), 16)[0], 'taken')
print(say(b'add@/mine\\0'), listener.recv(4096).split(b'\\0')[0], flush=True)
def broadcast(fd):
    directory = os.open('/sys', os.O_RDONLY)
    try: return fcntl.ioctl(directory, 0xeffa, fd)
    except OSError as error: return errno.errorcode[error.errno]
    finally: os.close(directory)
print(broadcast(0), broadcast(999), broadcast(-1), broadcast(listener.fileno()), broadcast(listener.fileno()), flush=True)
if os.fork() == 0:
    os.setgid(65534); os.setuid(65534)
    print(say(b'add@/theirs\\0'), flush=True)
    os._exit(0)
os.wait()
`);
    expect({ out, err }).toEqual({
      out: "taken b'add@/mine'\nEINVAL EBADF EBADF 0 EBUSY\nEPERM\n",
      err: '',
    });
  });
});
