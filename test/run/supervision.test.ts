/** Supervision in bad company: many children, dying threads, filters, supervisors and daemons that are killed, `run` under `run`. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, gone, mountPoint, root, start, vfiofs } from '../cli/program.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-supervision-'));

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

const python = (script: string) => vfiofs(['run', '--', 'python3', '-c', script]);
const kind = `
import os, stat, sys, signal, threading, ctypes, struct, errno
def good(): return stat.S_ISCHR(os.stat('/dev/vfio/vfio').st_mode)
`;

/** '' for one that has ended. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** The supervisor started for `pid`, a `vfiofs run`: its child, though it did not start it. */
function supervisorOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  const found = children.find((child) => nameOf(child) === 'vfiofs-supervis\n');
  expect(found, `a supervisor among ${children}`).toBeDefined();
  return found as number;
}

describe('clients', () => {
  test('a thousand children', async () => {
    const { code, out, err } = await python(`${kind}
children = [os.fork() or os._exit(0 if good() else 1) for _ in range(1000)]
print(sum(os.waitpid(child, 0)[1] == 0 for child in children))
`);
    expect({ code, out, err }).toEqual({ code: 0, out: '1000\n', err: '' });
  });

  test('children and threads that are killed while they wait', async () => {
    const { code, out, err } = await python(`${kind}
def busy():
    while True: good()
for _ in range(40):
    child = os.fork()
    if child == 0:
        for _ in range(3): threading.Thread(target=busy).start()
        busy()
    for _ in range(20): good()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(good())
`);
    expect({ code, out, err }).toEqual({ code: 0, out: 'True\n', err: '' });
  });

  test('signals come through, and break nothing', async () => {
    const { code, out, err } = await python(`${kind}
seen = 0
def count(*_):
    global seen
    seen += 1
signal.signal(signal.SIGALRM, count)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
looks = sum(good() for _ in range(5000))
signal.setitimer(signal.ITIMER_REAL, 0)
print(looks, seen > 10)
`);
    expect({ code, out, err }).toEqual({ code: 0, out: '5000 True\n', err: '' });
  });

  test('a filter of their own is obeyed, a listener refused', async () => {
    const { code, out, err } = await python(`${kind}
libc = ctypes.CDLL(None, use_errno=True)
def install(flags, *code):
    program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in code))
    filter = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(code), ctypes.addressof(program)))
    return libc.syscall(317, 1, flags, filter), ctypes.get_errno()
allow = (6, 0, 0, 0x7fff0000)
# getpgid is EDOM, everything else goes on
print(install(0, (0x20, 0, 0, 0), (0x15, 0, 1, 121), (6, 0, 0, 0x50000 | errno.EDOM), allow))
try: os.getpgid(0)
except OSError as error: print(error.errno == errno.EDOM)
print(good())
print(install(8, allow)[1] == errno.EBUSY)
`);
    expect({ code, out, err }).toEqual({ code: 0, out: '(0, 0)\nTrue\nTrue\nTrue\n', err: '' });
  });

  test('nobody unknown among their children', async () => {
    const { out } = await python(`${kind}
try: os.waitpid(-1, os.WNOHANG)
except ChildProcessError: print('none')
`);
    expect(out).toBe('none\n');
  });

  test('a file system whose server is supervised, too', async () => {
    // The server's own calls are answered while others wait for it.
    const { code, out, err } = await vfiofs(
      [
        ...['run', '--', 'bash', '-ec'],
        `mkdir -p $TMPDIR/inner; trap 'kill $daemon; wait' EXIT
        node ${join(root, 'dist/cli/start.cjs')} mount sriov --at $TMPDIR/inner --control $TMPDIR/inner.sock --transport fuse-native > /dev/null &
        daemon=$!
        until mountpoint -q $TMPDIR/inner; do kill -0 $daemon; sleep 0.05; done
        for i in 1 2 3 4 5 6 7 8; do stat $TMPDIR/inner/sys/bus/pci/devices/* > /dev/null & jobs+=($!); done
        wait "\${jobs[@]}"
        stat -c %F /dev/vfio/vfio`,
      ],
      { env: { TMPDIR: files } },
    );
    expect({ code, err, out }).toEqual({ code: 0, err: '', out: 'character special file\n' });
  });
});

describe('run under run', () => {
  const nested = (...command: string[]) => [
    ...['run', 'minimal', '--', process.execPath, join(root, 'dist/cli/start.cjs'), 'run', 'default', '--'],
    ...command,
  ];

  test('the outer supervisor answers for both', async () => {
    const { code, out, err } = await vfiofs(
      nested('bash', '-c', 'stat -c %F /dev/vfio/1; stat -f -c %T /sys; ls /sys/bus/pci/devices | wc -l'),
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^character special file\nsysfs\n([89]|\d\d)\n$/);
  });

  const cli = `${process.execPath} ${join(root, 'dist/cli/start.cjs')}`;
  const user = 'setpriv --reuid 65534 --regid 65534 --clear-groups';
  const look = 'stat -c %F /dev/vfio/1; stat -f -c %T /sys; ls /sys/bus/pci/devices | wc -l; exit 5';

  test('of a user namespace below its own the supervisor may see nothing: it goes on without, and says so once', async () => {
    const { code, out, err } = await vfiofs(
      ['run', 'minimal', '--', 'sh', '-c', `${user} ${cli} run --keep-id -- sh -c '${look}'`],
      { env: { HOME: '/', TMPDIR: '/tmp' } },
    );
    expect({ code, out }).toEqual({ code: 5, out: 'regular empty file\nfuseblk\n8\n' });
    expect(err.split('\n').filter((line) => line.includes('supervis'))).toEqual([
      'vfiofs-launch: not supervised: the supervisor above must not look at a file system of a user namespace below its own: Permission denied',
    ]);
  });

  test.each([
    ['supervised in unsupervised', 'minimal --no-supervise', ''],
    ['unsupervised in supervised', 'minimal', '--no-supervise'],
  ])('%s', async (_title, outer, inner) => {
    const { code, out, err } = await vfiofs([
      ...['run', ...outer.split(' '), '--', 'sh', '-c'],
      `${cli} run ${inner} -- sh -c '${look}'`,
    ]);
    expect({ code, err }).toEqual({ code: 5, err: '' });
    expect(out).toBe(inner ? 'regular empty file\nfuseblk\n8\n' : 'character special file\nsysfs\n8\n');
  });

  test('a mounted host is joined from inside a run, and a run starts inside a view of it: exit codes, and nothing is left', async () => {
    const place = mountPoint();
    await vfiofs(['mount', '--at', place.path, '--background']);
    try {
      for (const [outer, inner] of [
        ['minimal', `--host ${place.path}`],
        [`--host ${place.path}`, 'default'],
      ] as const) {
        const running = start(
          [
            ...['run', ...outer.split(' '), '--', 'bash', '-c'],
            `${cli} run ${inner} -- sh -c 'stat -c %F /dev/vfio/1; kill -USR1 $$'; echo ended $?; read`,
          ],
          { open: true },
        );
        await running.prints('ended');
        const supervisor = supervisorOf(running.pid);
        running.write('\n');
        const { code, out } = await running.ended;
        expect({ code, out }).toEqual({ code: 0, out: 'character special file\nended 138\n' });
        await gone(supervisor);
      }
      const counts = JSON.parse((await vfiofs(['ctl', 'counts', '--at', place.path])).out);
      expect(counts.open).toMatchObject({ groups: 0, deviceFiles: 0 });
    } finally {
      await vfiofs(['umount', place.path]);
      place.remove();
    }
  });

  test('under somebody else who listens it goes on without, and says so', async () => {
    const listen = `
import ctypes, os, struct, sys
code = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)
program = ctypes.create_string_buffer(code)
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 1, ctypes.addressof(program)))
os.set_inheritable(ctypes.CDLL(None).syscall(317, 1, 8, filter), True)
os.execv(sys.argv[1], sys.argv[1:])`;
    const { code, out, err } = await start(
      [
        ...['-c', listen, process.execPath, join(root, 'dist/cli/start.cjs'), 'run', '--'],
        ...['stat', '-c', '%F', '/dev/vfio/vfio'],
      ],
      { program: 'python3' },
    ).ended;
    expect({ code, out }).toEqual({ code: 0, out: 'regular empty file\n' });
    expect(err).toMatch(/^vfiofs-launch: not supervised: seccomp \(somebody listens.*busy\n$/);
  });
});

describe('an end of the other side', () => {
  test('a killed supervisor takes the command and its children with it, and it is said why', async () => {
    const running = start([
      'run',
      '--',
      'bash',
      '-c',
      'sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done; echo pid=$!; wait',
    ]);
    await running.prints('pid=');
    process.kill(supervisorOf(running.pid), 'SIGKILL');
    const { code, signal, out, err } = await running.ended;
    expect({ code, signal }, err).toEqual({ code: null, signal: 'SIGKILL' });
    expect(err).toBe('vfiofs: the supervisor of the command ended; so does the command\n');
    await gone(Number(/pid=(\d+)/.exec(out)?.[1]));
  });

  test('what outlives the command gets an answer, and the supervisor goes with the last of it', async () => {
    const file = join(files, 'orphan');
    // By then the file system is dead, too: ENOTCONN, not ENOSYS nor a wait.
    const orphan = 'while [ -e /proc/$0 ]; do sleep 0.02; done; stat -c %F /etc/passwd; stat /sys';
    const running = start(
      [...['run', '--', 'bash', '-c'], `setsid bash -c '${orphan}' $PPID > ${file} 2>&1 & echo up; read`],
      { open: true },
    );
    await running.prints('up');
    const supervisor = supervisorOf(running.pid);
    running.write('\n');
    expect(await running.ended).toMatchObject({ code: 0, err: '' });
    await gone(supervisor);
    expect(readFileSync(file, 'utf8')).toMatch(/^regular file\nstat: .*not connected\n$/);
  });

  test('a killed daemon leaves no supervisor', async () => {
    const running = start(['run', '--', 'bash', '-c', 'echo up; exec sleep 1000']);
    await running.prints('up');
    const supervisor = supervisorOf(running.pid);
    running.kill('SIGKILL');
    await running.ended;
    await gone(supervisor);
  });
});
